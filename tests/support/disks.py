"""File systems that are full soon."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, *, size: str) -> Iterator[None]:
    """Lay a file system of a size such as ``1m`` over a folder, where we may mount one; else the test is skipped."""
    with small_disk_where_allowed(folder, size=size) as mounted:
        if not mounted:
            pytest.skip("needs the right to mount a small tmpfs")
        yield


@contextmanager
def small_disk_where_allowed(folder: Path, *, size: str) -> Iterator[bool]:
    """Lay a file system of a size over a folder; says whether we may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def free(folder: Path) -> int:
    """Bytes left on a folder's disk."""
    return shutil.disk_usage(folder).free


def ballast(folder: Path, *, leave: int) -> Path:
    """Fill a folder's disk until this many bytes are left; delete what is returned to have the room again."""
    path = folder / "ballast"
    with path.open("wb") as file:
        piece = free(folder) - leave
        while piece > 0:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, piece)
                piece = free(folder) - leave
            except OSError:  # others have taken some meanwhile
                piece //= 2
    return path
