"""Keep a process to a few folders that it may read, by Landlock (Linux 5.13 and later, no privileges needed).

Numbers and layouts are those of linux/landlock.h; see landlock(7).
"""

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# How many rights over files each version knows; the last entry stands for later versions.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_BIND_AND_CONNECT = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6


def version() -> int:
    """Which Landlock the kernel offers; 0 for none."""
    return max(0, _call(_CREATE_RULESET, None, 0, _ASK_VERSION))


def read_only(paths: Iterable[Path]) -> bool:
    """From now on this thread, and those it starts, may read what is below these paths and touch no other file.

    It can start no program and, where the kernel is new enough, open no TCP connection, and signal nobody else. What is
    open stays open. The process must have set PR_SET_NO_NEW_PRIVS.

    Args:
        paths: Files or folders; those that are not there are passed over.

    Returns:
        False when the kernel does not offer it, and nothing has changed.
    """
    offered = version()
    if not offered:
        return False
    handled = (1 << _FILE_RIGHTS[min(offered, 5)]) - 1
    attributes = struct.pack("=Q", handled)
    if offered >= _NETWORK_SINCE:
        attributes += struct.pack("=Q", _BIND_AND_CONNECT)
    if offered >= _SCOPES_SINCE:
        attributes += struct.pack("=Q", _ABSTRACT_SOCKETS_AND_SIGNALS)
    rules = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for path in paths:
            with contextlib.suppress(OSError):
                _allow(rules, path)
        return _call(_RESTRICT_SELF, rules, 0) == 0
    finally:
        os.close(rules)


def _allow(rules: int, path: Path) -> None:
    below = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, below), 0)
    finally:
        os.close(below)


def _call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call the C library has no name for; negative when it failed."""
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(ctypes.c_long(number), *(_plain(argument) for argument in arguments)))


def _plain(argument: int | bytes | None) -> ctypes.c_long | bytes | None:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
