"""Becomes a PostgreSQL program that ends with its parent and is not root.

Run as a script, by path and with nothing but the standard library, so that it costs a few milliseconds:
``python -I -S postgres_launch.py PARENT_PID UID GID REACH PROGRAM ARGUMENT…``. With REACH 1 the program may pass
through folders that are closed to its user, such as ``/root`` above the data folder.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _permitted() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:")), 16)


def _keep_reach() -> None:
    """Keep one capability over the change of user: to read and pass folders, or the wider one where that is not had."""
    kept = CAP_DAC_READ_SEARCH if _permitted() & 1 << CAP_DAC_READ_SEARCH else CAP_DAC_OVERRIDE
    bit = 1 << kept
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; then their upper halves
    if _libc.capset(header, sets) or _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept, 0, 0):
        sys.exit("the folders above the data folder are closed, and this root has no right to lend")


def _drop_root(uid: int, gid: int, *, reach: bool) -> None:
    if reach:
        _libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if reach:
        _keep_reach()


def main() -> None:
    """Change user if told to, tie our life to the parent's, and become the program."""
    parent, uid, gid, reach = (int(word) for word in sys.argv[1:5])
    os.umask(0o077)
    if os.geteuid() == 0:
        _drop_root(uid, gid, reach=bool(reach))
    if sys.platform == "linux":  # after the change of user, which forgets it
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execv(sys.argv[5], sys.argv[5:])  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    main()
