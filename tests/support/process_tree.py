"""The processes of a running gallery, told apart as a person with ``ps`` would."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process of the tree."""

    pid: int
    kind: str


KINDS = {
    "postgres": ("bin/postgres",),
    "analyse": ("gallery.standalone.role", "analyse"),
    "people": ("gallery.standalone.role", "people"),
    "decoder": ("gallery.runtime.child", "gallery.ml_worker.media"),
    "header": ("gallery.runtime.child", "gallery.metadata"),
    "vectors": ("gallery.runtime.child", "qdrant"),
}


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _kind(pid: int) -> str | None:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return next((kind for kind, marks in KINDS.items() if all(mark in words for mark in marks)), None)


def processes(parent: int) -> list[Process]:
    """Return the parent and every process below it that has a name of its own; the servers' workers are left out."""
    found, open_ends = [Process(parent, "parent")], [parent]
    while open_ends:
        pid = open_ends.pop()
        try:
            children = list(_children(pid))
        except OSError:
            continue
        for child in children:
            try:
                kind = _kind(child)
            except OSError:
                continue
            if kind:
                found.append(Process(child, kind))
            if kind != "postgres":
                open_ends.append(child)
    return found


def alive(pid: int) -> bool:
    """Whether a process of this id exists and is not a corpse."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
