"""The loss of power at every moment of a recorded run: what was not synced is gone, or there in part.

The ledger's files are copied at every receipt, when they are synced if the product keeps its word (that
SQLite is told to, is another test). Between two such moments whatever was written may have reached the
disk or not, in any order and in parts of 512 bytes: the files are put together in many of these ways,
and opened.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

SECTOR = 512


class Moment(NamedTuple):
    """A state of the disk: the database and its log as last synced, and how many events were acknowledged."""

    db: bytes
    wal: bytes
    acknowledged: int


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


class Recorder:
    """Copies the two files of a ledger at its commits."""

    def __init__(self, db: Path) -> None:
        self.moments: list[Moment] = []
        self._db = db
        self._wal = db.with_name(db.name + "-wal")

    def take(self, acknowledged: int) -> None:
        """A commit is acknowledged: by the promise, everything is synced at this moment."""
        self.moments.append(Moment(_read(self._db), _read(self._wal), acknowledged))


def torn(before: bytes, after: bytes, dice: random.Random) -> bytes:
    """``before`` with some of the sectors that ``after`` changed, and cut or grown to a length in between."""
    size = dice.randrange(min(len(before), len(after)), max(len(before), len(after)) + 1)
    made = bytearray(before.ljust(size, b"\0")[:size])
    for start in range(0, size, SECTOR):
        piece = after[start : min(start + SECTOR, size)]
        if piece != made[start : start + len(piece)] and dice.random() < 0.5:
            made[start : start + len(piece)] = piece
    return bytes(made)


def restart(folder: Path, db: bytes, wal: bytes) -> int:
    """Put the files in place, without the shared memory that no loss of power leaves, and read the log.

    Returns its head. Raises AssertionError for a log with a hole, and sqlite3.Error for a broken file.
    """
    path = folder / "after.db"
    for suffix, data in (("", db), ("-wal", wal)):
        path.with_name(path.name + suffix).write_bytes(data)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as file:
        (found,) = file.execute("PRAGMA integrity_check").fetchone()
        assert found == "ok", found
        (head,) = file.execute("SELECT position FROM ledger").fetchone()
        positions = [row[0] for row in file.execute("SELECT position FROM event ORDER BY position")]
    assert positions == list(range(1, head + 1))
    return int(head)


def cut_power(
    moments: list[Moment], folder: Path, dice: random.Random, *, tries: int, look: Callable[[int, int], None]
) -> int:
    """Lose power between each two moments, in some ``2 * tries`` ways.

    ``look(head, acknowledged)`` is called for each restart. Returns how many there were.
    """
    count = 0
    for before, after in pairwise(moments):
        # What was being written when the power went: the log at every length, and with sectors out of order.
        first, last = sorted((len(before.wal), len(after.wal)))
        wals = [before.wal, after.wal]
        wals += [after.wal[:size] for size in range(first, last, max(1, (last - first) // tries))]
        wals += [torn(before.wal, after.wal, dice) for _ in range(tries)]
        for wal in wals:
            look(restart(folder, before.db, wal), before.acknowledged)
        # The file itself is written by checkpoints alone, and those begin when the log is on the disk.
        dbs = [torn(before.db, after.db, dice) for _ in range(tries)] if before.db != after.db else []
        for db in dbs:
            look(restart(folder, db, after.wal), after.acknowledged)
        count += len(wals) + len(dbs)
    return count
