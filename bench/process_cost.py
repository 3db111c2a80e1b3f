"""What a tree of processes has cost, as the kernel counts it."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


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
    if "postgres" in words[0]:
        return "postgres"
    tail = [word for word in words if word.startswith("gallery.") or word in {"analyse", "people"}]
    return " ".join(tail[-2:]) or Path(words[0]).name
