"""What a tree of processes has cost, as the kernel counts it."""

import os
from collections import defaultdict
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

ENGINES = {"kafka": "kafka.Kafka", "elasticsearch": "elasticsearch", "postgres": "postgres"}
"""Something in the command line of each, where its program's name does not tell."""


def tree(parent: int) -> list[int]:
    """Return the process and everything below it."""
    found = [parent]
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found.extend(map(int, (task / "children").read_text().split()))
        except OSError:
            continue
    return found


def cpu_seconds(pids: list[int]) -> dict[int, float]:
    """User and system time of each process, what it waited for included."""
    spent = {}
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        spent[pid] = sum(map(int, fields[11:15])) / TICKS
    return spent


def cpu_by_kind(pids: list[int]) -> dict[str, float]:
    """The same, summed by what the processes do."""
    by_kind = defaultdict[str, float](float)
    for pid, spent in cpu_seconds(pids).items():
        by_kind[name(pid)] += spent
    return by_kind


def proportional_memory(pids: list[int]) -> int:
    """Sum of the proportional set sizes, bytes."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def name(pid: int) -> str:
    """A short name of what a process does."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "gone"
    for engine, word in ENGINES.items():
        if any(word in each and "://" not in each for each in words):
            return engine
    for place, word in enumerate(words):
        if Path(word).name.startswith("gallery-"):
            return " ".join([Path(word).name, *words[place + 1 : place + 2]])
    tail = [word for word in words if word.startswith("gallery.") or word in {"analyse", "people"}]
    return " ".join(tail[-2:]) or next((Path(word).stem for word in words if word.endswith(".py")), Path(words[0]).name)
