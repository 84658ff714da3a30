"""Events out of a ledger's file, in constant memory: plain ``sqlite3`` on a reading connection.

What is written are the stored bytes with the position in front, never a new encoding of them, and for a
bundle the hashes come out of the stored tiles: an event that was changed on the disk is exported as it is,
and does not verify.
"""

import base64
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..audit.bundle import BUNDLE_FORMAT, BundleProof, Manifest
from ..audit.merkle import HASH_SIZE, TILE_WIDTH, ReadTile, range_root
from ..audit.note import parse_checkpoint
from ..errors import Pruned, RunNotFound
from .file import connect_reader, queries
from .tree import checkpoints, load_edge, tile_reader

__all__ = ("Selection", "export_bundle", "read_run_rows", "read_selection")

_PAGE = 8 * TILE_WIDTH
_MAX_SPLITS = 200


class Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which events: of one run, of some, of a kind, from a time or after a position on; else all."""

    run: str | None = None
    runs: tuple[str, ...] = ()
    kind: str | None = None
    since: str | None = None
    after: int = 0

    @property
    def everything(self) -> bool:
        """Whether no event is left out."""
        return not msgspec.to_builtins(self)


_Rows = list[tuple[int, bytes]]


def read_selection(connection: sqlite3.Connection, selection: Selection, *, end: int) -> Iterator[_Rows]:
    """The events up to position ``end``, page by page; those that were pruned are left out.

    Raises RunNotFound, and Pruned for a run whose events are gone.
    """
    if selection.run is not None:
        yield from _run_pages(connection, selection, end)
        return
    at = selection.after
    where = ["position > ?", "position <= ?", "body IS NOT NULL"]
    more: list[object] = []
    if selection.runs:
        these = "SELECT {} FROM run WHERE run_id IN (SELECT value FROM json_each(?))"
        listed = msgspec.json.encode(selection.runs).decode()
        first, last = connection.execute(these.format("min(first), max(last)"), (listed,)).fetchone()
        at, end = max(at, (first or 1) - 1), min(end, last or 0)
        where.append(f"run IN ({these.format('number')})")
        more.append(listed)
    if selection.kind is not None:
        where.append("run IN (SELECT number FROM run WHERE kind = ?)")
        more.append(selection.kind)
    if selection.since is not None:
        where.append('substr(body, instr(body, \'"time":"\') + 8, 27) >= ?')
        more.append(selection.since)
    sql = f"SELECT position, CAST(body AS BLOB) FROM event WHERE {' AND '.join(where)}"
    sql += " ORDER BY position LIMIT ?"
    # The pages of a whole log are whole tiles.
    while rows := connection.execute(sql, (at, end, *more, _PAGE)).fetchall():
        yield rows
        at = rows[-1][0]


def _run_pages(connection: sqlite3.Connection, selection: Selection, end: int) -> Iterator[_Rows]:
    assert selection.run is not None
    row = connection.execute("SELECT pruned FROM run WHERE run_id = ?", (selection.run,)).fetchone()
    if row is None:
        raise RunNotFound(selection.run)
    if row[0] is not None:
        raise Pruned(selection.run, row[0] or None)
    version = 0
    while page := read_run_rows(connection, selection.run, version, _PAGE):
        version += len(page)
        rows = [(position, body) for position, body in page if body is not None and position <= end]
        rows = [(position, body) for position, body in rows if position > selection.after]
        if rows:
            yield rows


def read_run_rows(
    connection: sqlite3.Connection, run_id: str, after: int, limit: int
) -> list[tuple[int, bytes | None]]:
    """A run's events with a version > ``after``, at most ``limit``: position and body, None once pruned."""
    row = connection.execute("SELECT number, version, last FROM run WHERE run_id = ?", (run_id,)).fetchone()
    if row is None or after >= row[1]:
        return []
    number, newest, last = row
    through = min(after + limit, newest)
    mark = connection.execute(queries()["mark_from"], (number, through)).fetchone()
    version, position = mark or (newest, last)
    place = {"version": version, "position": position, "after": after, "through": through}
    return connection.execute(queries()["read_chain"], place).fetchall()


def export_bundle(
    path: Path,
    out: BinaryIO,
    selection: Selection,
    *,
    checkpoint: str,
    public_key: str | None = None,
    created: str,
    folder: Path | None = None,
) -> Manifest:
    """Write the selected events to ``out``, one a line, and return the manifest that proves them.

    ``checkpoint`` (a note or its text) says at which size; the tree must have it. The manifest's long lists
    wait in temporary files in ``folder``. Raises RunNotFound, Pruned.
    """
    head = parse_checkpoint(checkpoint)
    with closing(connect_reader(path, busy_timeout=5)) as connection:
        (epoch,) = connection.execute("SELECT epoch FROM ledger").fetchone()
        read = tile_reader(connection, load_edge(connection))
        kept = [one.size for one in checkpoints(connection)]

        def subtree(start: int, width: int) -> bytes:
            return range_root(read, start, start + width)

        proof = BundleProof(head.size, subtree, splits=kept[-_MAX_SPLITS:], folder=folder)
        for rows in read_selection(connection, selection, end=head.size):
            out.write(b"".join([b'{"position":%d,%b\n' % (position, body[1:]) for position, body in rows]))
            for first, count in _stretches([position for position, _ in rows]):
                proof.add(first - 1, _leaf_hashes(read, first - 1, count))
        proof.finish()
    chosen = {
        name: " ".join(value) if name == "runs" else str(value)
        for name, value in msgspec.to_builtins(selection).items()
    }
    return Manifest(
        format=BUNDLE_FORMAT,
        epoch=epoch,
        created=created,
        selection=chosen or {"all": "yes"},
        events=proof.events,
        size=head.size,
        root=base64.b64encode(head.root).decode(),
        checkpoint=checkpoint,
        public_key=public_key,
        leaves=proof.leaves,
        hashes=proof.hashes,
        marks=proof.marks,
    )


def _stretches(positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    if positions[-1] - positions[0] == len(positions) - 1:
        yield positions[0], len(positions)
        return
    first = last = positions[0]
    for position in positions[1:]:
        if position != last + 1:
            yield first, last - first + 1
            first = position
        last = position
    yield first, last - first + 1


def _leaf_hashes(read: ReadTile, start: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        number, offset = divmod(start, TILE_WIDTH)
        some = min(count, TILE_WIDTH - offset)
        parts.append(read(0, number)[offset * HASH_SIZE : (offset + some) * HASH_SIZE])
        start, count = start + some, count - some
    return b"".join(parts)
