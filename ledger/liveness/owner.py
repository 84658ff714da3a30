"""Who reports a run: a name that people gave, and the incarnation, which is one process and no other.

An owner is stored as ``name#incarnation``. The incarnation names the boot of the machine, the process
namespace, the process id and the moment the process started, so that a later process can tell for certain
that this one is dead, and never takes a process that got the same number for it.
"""

import os
import socket
import uuid
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ("Incarnation", "Owner", "default_name", "is_dead", "owner_of", "parse_owner")


class Incarnation(NamedTuple):
    """One process. ``started`` is its start in clock ticks since boot, 0 where that cannot be known."""

    boot: str
    namespace: str
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.boot}.{self.namespace}.{self.pid}.{self.started}"


class Owner(NamedTuple):
    """A stored owner read back; ``incarnation`` is None when it is a name only."""

    name: str
    incarnation: Incarnation | None


def default_name() -> str:
    """The name of this machine."""
    return socket.gethostname()[:64] or "localhost"


def owner_of(name: str | None = None) -> str:
    """This process as an owner, under ``name`` or the machine's name."""
    return f"{name or default_name()}#{_own(os.getpid())}"


def parse_owner(text: str | None) -> Owner:
    """A stored owner. Whatever is no incarnation belongs to the name."""
    name, mark, rest = (text or "").rpartition("#")
    fields = rest.split(".")
    if mark and len(fields) == 4 and fields[2].isdecimal() and fields[3].isdecimal():
        return Owner(name, Incarnation(fields[0], fields[1], int(fields[2]), int(fields[3])))
    return Owner(text or "", None)


def is_dead(incarnation: Incarnation, *, here: Incarnation | None = None) -> bool:
    """Whether that process is gone for certain. False when it cannot be known from here.

    A process of another machine, another container or an earlier boot is never called dead: only its lease
    tells. (The ids of machines are copied with their images, so they do not tell two machines apart.)
    """
    here = here or _own(os.getpid())
    if (incarnation.boot, incarnation.namespace) != (here.boot, here.namespace):
        return False
    if incarnation.pid == here.pid:
        return incarnation.started != here.started
    return not _lives(incarnation.pid, incarnation.started)


@cache
def _own(pid: int) -> Incarnation:
    return Incarnation(_boot(), _namespace(), pid, _started(pid) or 0)


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").replace("-", "").strip()[:16]
    except OSError:
        return f"{uuid.getnode():012x}"


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return "0"


def _started(pid: int) -> int | None:
    """Start of a process in clock ticks since boot; None when there is no such process, or no /proc."""
    try:
        # The second field is the program's name in brackets and may hold spaces and brackets itself.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in ("Z", "X"):
        return None
    return int(fields[19])


def _lives(pid: int, started: int) -> bool:
    if started:
        return _started(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
