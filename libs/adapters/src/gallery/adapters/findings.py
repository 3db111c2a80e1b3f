"""What was found out about an engine, and whether a process can do with it."""

from collections.abc import Iterable
from dataclasses import dataclass

from gallery.runtime.errors import UnfitEngineError


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at an engine showed.

    Attributes:
        check: What was looked at, in the words of a list.
        ok: Whether it is as it should be.
        found: What it is.
        advice: What to do when it is not ok.
        needed: Whether nothing goes, or nothing is safe, without it; else a convenience is missing.
        passing: Whether it may mend itself, such as a store that is full.
    """

    check: str
    ok: bool
    found: str
    advice: str = ""
    needed: bool = True
    passing: bool = False


def demand(findings: Iterable[Finding]) -> None:
    """Go on only when everything that is needed is there.

    Raises:
        UnfitEngineError: The first thing that is not.
    """
    for each in findings:
        if each.needed and not each.ok:
            raise UnfitEngineError(f"{each.check}: {each.found}; {each.advice}")
