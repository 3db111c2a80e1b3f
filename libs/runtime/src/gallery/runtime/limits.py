"""What a jailed child may use, and how the child locks itself up.

Prevented: using more memory, CPU time or wall time than allowed; writing to files, growing shared memory included;
gaining privileges through set-uid programs; opening many files; leaving core dumps. The environment is stripped, so no
secret can be read from it.

Prevented where the host lets us: network connections (a network namespace: as root, or where unprivileged user
namespaces are allowed; Landlock stops TCP from version 4 on); reading files other than programs and modules, removing
or renaming any, starting programs (Landlock, Linux 5.13 and later).

Not prevented: system calls as such; that needs a seccomp filter, which the standard library does not offer. Against
code that took over the process these limits make it harder; it holds one photo at a time and no keys.
"""

import contextlib
import ctypes
import json
import math
import resource
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gallery.runtime.landlock import read_only

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
# Decoders read one file at a time; lazily imported modules need a few.
_OPEN_FILES = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may use.

    Attributes:
        memory: Bytes of address space on top of what the loaded libraries use.
        cpu: Processor time; the kernel counts whole seconds, rounded up.
        wall: Time on the clock, watched by the parent.
    """

    memory: int
    cpu: timedelta
    wall: timedelta

    def to_text(self) -> str:
        """Write them down for the command line."""
        return json.dumps([self.memory, self.cpu.total_seconds(), self.wall.total_seconds()])

    @classmethod
    def from_text(cls, text: str) -> "Limits":
        """Read what `to_text` wrote."""
        memory, cpu, wall = json.loads(text)
        return cls(memory=memory, cpu=timedelta(seconds=cpu), wall=timedelta(seconds=wall))


def isolate() -> None:
    """Leave the network. Before any library is loaded: a process with threads cannot enter a user namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # refused where the host forbids it; see the module's text


def lock(limits: Limits) -> None:
    """Set what holds for the life of the process; after the libraries are loaded, so that they do not count."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    space = _address_space() + limits.memory
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    read_only(_readable())


def renew(limits: Limits) -> None:
    """Give the next request its processor time: what the process has used, and the budget."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(usage.ru_utime + usage.ru_stime + limits.cpu.total_seconds())
    with contextlib.suppress(ValueError):  # a hard limit of the host below this stays
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _readable() -> list[Path]:
    """Where modules and libraries are that may still be loaded, and what the C library reads."""
    modules = {*filter(None, sys.path), sys.prefix, sys.base_prefix}
    system = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom")
    return [Path(each) for each in (*sorted(modules), *system)]


def _address_space() -> int:
    """Bytes mapped now (first field of /proc/self/statm, proc(5))."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
