"""Bounded batches over a table that other people read and write meanwhile.

A backfill in one statement holds SQLite's only writer for as long as it takes. :func:`chunks` walks the
table along its key instead, a bounded number of rows at a time, and yields the writer between them::

    with open_run("backfill", total=count, unit="rows") as run:
        for low, high in chunks(connection, "observation", key="id", run=run):
            cursor = connection.execute("UPDATE observation SET … WHERE id > ? AND id <= ?", (low, high))
            connection.commit()
            run.advance(cursor.rowcount)

It ends: the key at the start is the bound, so that rows which come meanwhile do not keep it alive, and each
chunk begins behind the last one, so that rows the work cannot fix are passed by, not met again and again.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .producers.open_run import OpenRun

__all__ = ("Chunk", "Pace", "chunks")


class Chunk(NamedTuple):
    """Rows with a key > ``low`` and <= ``high``."""

    low: int
    high: int


class Pace:
    """How large the next chunk is and how long to wait before it: pure, fed with how long the last took.

    A chunk should take about ``target`` seconds of the writer, and the pause after it is at least as long
    as the chunk took, so that others get half of the time. ``size`` bounds the rows of a chunk.
    """

    def __init__(self, *, size: int, pause: float, target: float = 0.02) -> None:
        if size < 1:
            raise ValueError(f"size is {size!r}: a chunk has at least one row.")
        if pause < 0:
            raise ValueError(f"pause is {pause!r}: it cannot be negative.")
        self.size = size
        self.pause = pause
        self._most = size
        self._least_pause = pause
        self._target = target

    def took(self, seconds: float) -> None:
        """The last chunk kept the writer for so long."""
        if seconds > 2 * self._target:
            self.size = max(1, self.size // 2)
        elif seconds < self._target / 2:
            self.size = min(self._most, self.size * 2)
        self.pause = max(self._least_pause, min(seconds, 1.0))


def chunks(
    connection: sqlite3.Connection,
    table: str,
    *,
    key: str = "rowid",
    where: str = "1",
    size: int = 5_000,
    pause: float = 0.01,
    run: OpenRun | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Chunk]:
    """Chunks of at most ``size`` rows of ``table`` that match ``where``, along the integer ``key``.

    ``table``, ``key`` and ``where`` are SQL and go into the statement as they are. The rows themselves are
    the caller's to change and to commit before it asks for the next chunk; the pause, at least ``pause``
    seconds and as long as the chunk took, is inside. When ``run`` was asked to stop, it ends after the
    chunk in hand.

    Raises ValueError for a size below 1 or a negative pause, before anything is read, and sqlite3.Error
    when the table cannot be read: nothing was done then, and nothing is said to be done.
    """
    pace = Pace(size=size, pause=pause)
    return _walk(connection, f"FROM {table} WHERE ({where}) AND {key}", key, pace, run, sleep)


def _walk(
    connection: sqlite3.Connection,
    rows: str,
    key: str,
    pace: Pace,
    run: OpenRun | None,
    sleep: Callable[[float], None],
) -> Iterator[Chunk]:
    (least, last) = connection.execute(f"SELECT min({key}), max({key}) {rows} IS NOT NULL").fetchone()
    if last is None:
        return
    low = least - 1
    while low < last:
        if run is not None and run.cancel_requested:
            return
        # The key of the last row of the chunk; beyond the last row there is none, and the bound is the end.
        (high,) = connection.execute(
            f"SELECT max({key}) FROM (SELECT {key} {rows} > ? AND {key} <= ? ORDER BY {key} LIMIT ?)",
            (low, last, pace.size),
        ).fetchone()
        if high is None:
            return
        began = time.perf_counter()
        yield Chunk(low, high)
        pace.took(time.perf_counter() - began)
        low = high
        if low < last:
            sleep(pace.pause)
