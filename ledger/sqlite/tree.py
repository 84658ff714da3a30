"""The Merkle tree in the ledger's file: plain functions on a ``sqlite3`` connection, run on its thread.

The tree is folded behind the log. A fold reads events, hashes them without any connection, and stores
tiles and edge in a short transaction of its own that compares the size it began at: of two processes that
fold at the same time one does the work and the other finds it done.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from ..audit.merkle import HASH_SIZE, TILE_WIDTH, Edge, ReadTile, leaf_hashes
from ..errors import LedgerError
from .file import queries

__all__ = (
    "LogDamaged",
    "StoredCheckpoint",
    "add_checkpoint",
    "add_cosignatures",
    "checkpoints",
    "cosignatures",
    "forget_tree",
    "hash_leaves",
    "load_edge",
    "newest_checkpoint",
    "read_leaves",
    "read_tile",
    "store_edge",
    "tile_reader",
)

_LEVEL = 1 << 48


class LogDamaged(LedgerError):
    """The stored events are not what they were: ``position`` is the first that is known to be wrong."""

    code = "log_damaged"

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position

    def fields(self) -> dict[str, object]:
        return {"position": self.position}


class StoredCheckpoint(NamedTuple):
    """A checkpoint as kept: ``note`` is its text, signed when there was a key."""

    number: int
    size: int
    root: bytes
    time: str
    note: str


def load_edge(connection: sqlite3.Connection) -> Edge:
    """The tree's right edge as stored. Raises LogDamaged when size and hashes do not fit together."""
    size, joined = connection.execute(queries()["tree"]).fetchone()
    levels: list[bytes] = []
    at = 0
    rest = size
    while rest:
        width = rest % TILE_WIDTH * HASH_SIZE
        levels.append(joined[at : at + width])
        at += width
        rest //= TILE_WIDTH
    if at != len(joined):
        raise LogDamaged("The stored edge of the tree does not fit its size; rebuild the tree from the log.")
    try:
        return Edge(size, levels)
    except ValueError as error:
        raise LogDamaged(str(error)) from None


def read_leaves(connection: sqlite3.Connection, start: int, limit: int) -> list[bytes]:
    """Stored bytes of the leaves from index ``start`` on, at most ``limit``.

    Raises LogDamaged where a position is missing or an event was pruned before it was folded.
    """
    rows = connection.execute(queries()["read"], (start, limit)).fetchall()
    if rows and (rows[0][0] != start + 1 or rows[-1][0] != start + len(rows)):
        found = next(index for index, row in enumerate(rows, start + 1) if row[0] != index)
        raise LogDamaged(f"Position {found} is missing from the log.", position=found)
    leaves = [body for _, body in rows]
    if None in leaves:
        lost = start + 1 + leaves.index(None)
        raise LogDamaged(f"The event at position {lost} is gone and the tree never saw it.", position=lost)
    return leaves


def hash_leaves(edge: Edge, leaves: Sequence[bytes]) -> tuple[Edge, list[tuple[int, int, bytes]]]:
    """The edge with these leaves added, and the tiles that became full. Touches no connection."""
    grown = edge.copy()
    full = grown.append(leaf_hashes(leaves))
    return grown, full


def store_edge(
    connection: sqlite3.Connection, before: int, edge: Edge, full: Sequence[tuple[int, int, bytes]]
) -> bool:
    """Move the tree from size ``before`` to ``edge``; False when somebody else has moved it meanwhile."""
    moved = connection.execute(queries()["move_tree"], (edge.size, b"".join(edge.levels), before))
    if moved.rowcount != 1:
        return False
    tiles = [(level * _LEVEL + number, hashes) for level, number, hashes in full]
    connection.executemany(queries()["add_tile"], tiles)
    return True


def forget_tree(connection: sqlite3.Connection) -> None:
    """Empty the tree, to be folded again from zero. Checkpoints stay.

    Only for a log of which nothing was pruned: the hashes of pruned events are nowhere else.
    """
    connection.execute(queries()["clear_tree"])
    connection.execute(queries()["clear_tiles"])


def read_tile(connection: sqlite3.Connection, edge: Edge, level: int, number: int) -> bytes:
    """Hashes of a tile as it stands at ``edge``: 256 when full, fewer at the right edge, none beyond."""
    full = edge.size >> (8 * (level + 1))
    if number < full:
        row = connection.execute(queries()["tile"], (level * _LEVEL + number,)).fetchone()
        if row is None or len(row[0]) != TILE_WIDTH * HASH_SIZE:
            raise LogDamaged(
                f"Tile {number} of level {level} is missing or cut; rebuild the tree from the log."
            )
        return bytes(row[0])
    return edge.levels[level] if number == full and level < len(edge.levels) else b""


def tile_reader(connection: sqlite3.Connection, edge: Edge) -> ReadTile:
    """What proofs read tiles with; each tile is read once."""
    seen: dict[tuple[int, int], bytes] = {}

    def read(level: int, number: int) -> bytes:
        hashes = seen.get((level, number))
        if hashes is None:
            if len(seen) >= 1024:
                seen.clear()
            hashes = seen[level, number] = read_tile(connection, edge, level, number)
        return hashes

    return read


def add_checkpoint(connection: sqlite3.Connection, *, size: int, root: bytes, time: str, note: str) -> int:
    """Keep a checkpoint; its number comes back. The same note again is kept once."""
    for kept in connection.execute(queries()["tree_checkpoints_of_size"], (size,)):
        if kept[4] == note:
            return int(kept[0])
    done = connection.execute(queries()["add_tree_checkpoint"], (size, root, time, note))
    return int(done.lastrowid or 0)


def add_cosignatures(connection: sqlite3.Connection, number: int, lines: Sequence[str]) -> int:
    """Keep signature lines of others under a checkpoint; how many were new."""
    return sum(connection.execute(queries()["add_cosignature"], (number, line)).rowcount for line in lines)


def cosignatures(connection: sqlite3.Connection, number: int) -> list[str]:
    """Signature lines of others under a checkpoint."""
    return [line for (line,) in connection.execute(queries()["cosignatures"], (number,))]


def checkpoints(connection: sqlite3.Connection) -> list[StoredCheckpoint]:
    """All that were ever made, oldest first."""
    return [StoredCheckpoint(*row) for row in connection.execute(queries()["tree_checkpoints"])]


def newest_checkpoint(connection: sqlite3.Connection, *, signed: bool = False) -> StoredCheckpoint | None:
    """The one of the largest size, among the signed ones if asked; None when there is none."""
    name = "newest_signed_checkpoint" if signed else "newest_tree_checkpoint"
    row = connection.execute(queries()[name]).fetchone()
    return None if row is None else StoredCheckpoint(*row)
