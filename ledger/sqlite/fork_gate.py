"""Keeps a process from being forked in the middle of a database call.

SQLite's own locks are copied into a forked child as they are: one that a thread of the parent held at that
moment is never let go there, and the child's first use of SQLite hangs. So a fork waits for the calls that
are on their way, and those that come meanwhile wait for the fork.
"""

import os
import threading
import weakref
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ("FORK_SECONDS", "ForkGate")

_P = ParamSpec("_P")
_T = TypeVar("_T")

FORK_SECONDS = 1.0
"""How long a fork waits. A call that takes longer waits for another process, without holding such locks."""


class ForkGate:
    """One for each thread that calls SQLite; they do not wait for each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _gates.add(self)

    def through(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function`` while nobody forks."""
        with self._lock:
            return function(*args, **kwargs)

    def close(self) -> bool:
        """Let nobody through, and wait for who is inside. Whether that came in time."""
        return self._lock.acquire(timeout=FORK_SECONDS)

    def open(self) -> None:
        """Let calls through again."""
        self._lock.release()


_gates: "weakref.WeakSet[ForkGate]" = weakref.WeakSet()
_closed: list[ForkGate] = []


def _before() -> None:
    _closed.extend(gate for gate in list(_gates) if gate.close())


def _after_in_parent() -> None:
    while _closed:
        _closed.pop().open()


def _after_in_child() -> None:
    # The threads behind these gates are not here.
    _closed.clear()
    _gates.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
