"""What a producer said since it was last asked, merged into as few ticks as tell the same.

However often ``advance`` is called, :meth:`Merge.take` answers with at most two payloads: what was added,
and what was set. Nothing here waits, reads a clock or knows of a ledger.
"""

import sys
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any, SupportsInt

from msgspec import UNSET, UnsetType

from ..events import MAX_COUNT, Ticked

__all__ = ("MAX_MESSAGE", "Merge", "join_ticks", "plain_text")

MAX_MESSAGE = 4_000
"""Characters of a message or an error that are kept."""

_NAMES = 256

# Python may hand over to another thread only between certain bytecodes, and there is none of them inside
# `self._n += n` on plain ints. Without the lock that holds, a lock of our own is needed.
_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


class Merge:
    """Sums and newest values, said from any thread. :attr:`wake` is called once, from the thread that says
    the first thing after a :meth:`take`.

    With ``strict`` a wrong argument raises ValueError or TypeError, otherwise it counts in ``ignored``.
    """

    def __init__(self, wake: Callable[[], object] = bool, *, strict: bool = False) -> None:
        self.wake = wake
        self._strict = strict
        self.dirty = False
        self.ignored = 0
        self._n = 0
        self._n_taken = 0
        self._last_total: int | None | UnsetType = UNSET
        self._extra = 0
        self._counts: dict[str, int] = {}
        self._done: int | None = None
        self._set_counts: dict[str, int] = {}
        self._total: int | None | UnsetType = UNSET
        self._message: str | None = None
        self.reset_lock()

    def advance(
        self, n: int = 1, counts: Mapping[str, int] | None = None, message: str | None = None
    ) -> None:
        """Add ``n`` done, and ``counts`` to the counts. ``message`` replaces the last one."""
        if counts is None and message is None and n.__class__ is int and n >= 0 and _GIL:
            self._n += n
        else:
            self._advance(n, counts, message)
        if not self.dirty:
            self.dirty = True
            self.wake()

    def set(
        self,
        done: int,
        total: int | None | UnsetType = UNSET,
        *,
        counts: Mapping[str, int] | None = None,
        message: str | None = None,
    ) -> None:
        """``done`` is where the job stands, ``counts`` where they stand; the last call counts."""
        if not self._count_is_right(done) or not (
            total is None or total is UNSET or self._count_is_right(total)
        ):
            return
        with self._lock:
            self._done = done if self._done is None else max(done, self._done)
            if not isinstance(total, UnsetType) and total != self._last_total:
                self._total = self._last_total = total
            for name, value in self._right(counts):
                self._set_counts[name] = value
                self._counts.pop(name, None)
            if message is not None:
                self._message = plain_text(message)
        if not self.dirty:
            self.dirty = True
            self.wake()

    def take(self) -> list[Ticked]:
        """What was said since the last take, and forget it."""
        # First the mark, then the sums: what comes between is taken now and marked again, never lost.
        self.dirty = False
        with self._lock:
            plain = self._n - self._n_taken
            self._n_taken += plain
            added = min(plain + self._extra, MAX_COUNT)
            ticks: list[Ticked] = []
            message = self._message
            absolute = self._done is not None
            if added or self._counts or (message is not None and not absolute):
                ticks.append(
                    Ticked(advance=added, counts=self._counts or None, message=None if absolute else message)
                )
            if absolute:
                ticks.append(
                    Ticked(
                        done=self._done, counts=self._set_counts or None, total=self._total, message=message
                    )
                )
            self._clear()
            return ticks

    def forget(self) -> None:
        """Drop what was not taken: a forked child must not say again what its parent will say."""
        self.reset_lock()
        self.take()

    def reset_lock(self) -> None:
        """A lock that nobody holds; in a forked child the old one may be held by a thread that is no more."""
        # Reentrant, since a signal may come while this thread holds it and its handler may advance as well.
        self._lock = RLock()

    def _clear(self) -> None:
        self._extra = 0
        self._counts = {}
        self._done = None
        self._set_counts = {}
        self._total = UNSET
        self._message = None

    def _advance(self, n: int, counts: Mapping[str, int] | None, message: str | None) -> None:
        if not self._count_is_right(n):
            return
        with self._lock:
            if self._done is not None:
                self._done = min(self._done + int(n), MAX_COUNT)
            else:
                self._extra += int(n)
            for name, value in self._right(counts):
                where = self._set_counts if name in self._set_counts else self._counts
                where[name] = min(where.get(name, 0) + value, MAX_COUNT)
            if message is not None:
                self._message = plain_text(message)

    def _right(self, counts: Mapping[str, int] | None) -> list[tuple[str, int]]:
        right: list[tuple[str, int]] = []
        try:
            pairs: list[tuple[Any, int]] = [] if counts is None else list(counts.items())
        except Exception:
            self._wrong(f"counts {_shown(counts)} is no mapping of names to numbers")
            return right
        for name, value in pairs:
            if not isinstance(name, str):
                self._wrong(f"count {_shown(name)}: a name is a text")
                continue
            known = name in self._counts or name in self._set_counts
            full = not known and len(self._counts) + len(self._set_counts) + len(right) >= _NAMES
            if full or not 0 < len(name) <= 128:
                self._wrong(f"count {name!r}: at most {_NAMES} names of 1 to 128 characters")
            elif self._count_is_right(value):
                right.append((plain_text(name), int(value)))
        return right

    def _count_is_right(self, value: object) -> bool:
        # What counts like an int (numpy's, say) is welcome; a float that happens to be whole is as well.
        try:
            right = isinstance(value, SupportsInt) and int(value) == value and 0 <= int(value) <= MAX_COUNT
        except Exception:
            right = False  # not a number, infinite, or an object of the caller's that fails itself
        if not right:
            self._wrong(f"{_shown(value)} is no whole number from 0 to 2**63 - 1")
            return False
        return True

    def _wrong(self, what: str) -> None:
        if self._strict:
            raise ValueError(what)
        self.ignored += 1


def join_ticks(first: Ticked, second: Ticked) -> Ticked | None:
    """One tick that folds like ``first`` and then ``second``; None when there is none."""
    if first.advance is not None and second.advance is not None:
        counts = dict(first.counts or {})
        for name, value in (second.counts or {}).items():
            counts[name] = min(counts.get(name, 0) + value, MAX_COUNT)
        done, advance = None, min(first.advance + second.advance, MAX_COUNT)
    elif first.done is not None and second.done is not None:
        counts = (first.counts or {}) | (second.counts or {})
        done, advance = max(first.done, second.done), None
    else:
        return None
    if len(counts) > _NAMES:
        return None
    return Ticked(
        done=done,
        advance=advance,
        counts=counts or None,
        total=first.total if second.total is UNSET else second.total,
        message=first.message if second.message is None else second.message,
        occurred_at=second.occurred_at,
    )


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def plain_text(text: object) -> str:
    """``text`` as an event can carry it: cut to 4,000 characters, without NUL and lone surrogates.

    Raises nothing: what cannot say what it is goes by the name of its type.
    """
    try:
        whole = str(text)
    except Exception:
        whole = f"<{type(text).__name__}>"
    short = whole if len(whole) <= MAX_MESSAGE else whole[: MAX_MESSAGE - 1] + "…"
    if "\0" in short:
        short = short.replace("\0", "\N{SYMBOL FOR NULL}")
    return short.encode("utf-8", "replace").decode("utf-8")
