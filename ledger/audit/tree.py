"""The transparency log over a ledger: a Merkle tree kept behind the log, its checkpoints and proofs.

The tree is a projection. It never stands in an append's way, lags behind by a bounded time while
:meth:`Tree.keep` runs, and catches up before anything is said about the log. Folded again from zero, and
by any number of processes at a time, it comes to the same root.
"""

import logging
import sqlite3
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import anyio
from anyio import to_thread
from msgspec import Struct

from ..errors import LedgerError, Unavailable
from ..sqlite import SQLiteLog
from ..sqlite import tree as sqlite_tree
from ..sqlite.tree import StoredCheckpoint
from ..times import format_time
from .merkle import (
    EMPTY_ROOT,
    TILE_WIDTH,
    Edge,
    ReadTile,
    consistency_proof,
    inclusion_proof,
    tree_root,
)
from .note import Checkpoint, InvalidNote, Signer, format_note, parse_checkpoint, parse_note

__all__ = ("Inclusion", "NoSuchSize", "Tree", "TreeHead")

_logger = logging.getLogger("progress_ledger.ledger")
_T = TypeVar("_T")

_PORTION = 8192
"""Leaves of one fold: some 10 ms of hashing off the loop, and one fsync."""


class NoSuchSize(LedgerError):
    """A proof was asked about a size or an index that the tree does not have."""

    code = "no_such_size"


class TreeHead(NamedTuple):
    """A size of the tree and its root."""

    size: int
    root: bytes


class Inclusion(Struct, frozen=True):
    """That the leaf at ``index`` is in the tree of ``size`` leaves with ``root``: the audit path."""

    index: int
    size: int
    leaf: bytes
    proof: list[bytes]
    root: bytes


class Tree:
    """The tree over one ledger file; several may be open on it, in one process or many."""

    def __init__(self, log: SQLiteLog, *, portion: int = _PORTION) -> None:
        self._log = log
        self._portion = portion
        self._edge: Edge | None = None
        self._folding = anyio.Lock()
        self.folded = 0

    @property
    def origin(self) -> str:
        """The name of this log in checkpoints that no key names otherwise."""
        return f"progress-ledger/{self._log.epoch}"

    async def catch_up(self, size: int | None = None) -> int:
        """Fold until the tree holds ``size`` leaves, or all there are; the tree's size comes back.

        Raises LogDamaged when the log has a hole, and Unavailable on a log opened for reading only whose
        tree is behind.
        """
        if size is None:
            size = await self._log.head()
        async with self._folding:
            edge = self._edge
            if edge is None:
                edge = await self._log.on_reader(sqlite_tree.load_edge)
            if edge.size < size:
                # Beyond the end of the log there is no hole: whoever asked finds that there is no such size.
                size = min(size, await self._log.head())
            while edge.size < size:
                edge = await self._fold(edge)
            self._edge = edge
        return edge.size

    async def _fold(self, edge: Edge) -> Edge:
        before, portion = edge, self._portion
        leaves = await self._log.on_reader(lambda file: sqlite_tree.read_leaves(file, before.size, portion))
        if not leaves:
            raise sqlite_tree.LogDamaged(
                f"Position {edge.size + 1} is missing from the log.", position=edge.size + 1
            )
        grown, full = await to_thread.run_sync(sqlite_tree.hash_leaves, before, leaves)
        stored = await self._log.on_writer(
            lambda file: sqlite_tree.store_edge(file, before.size, grown, full)
        )
        if not stored:
            return await self._log.on_reader(sqlite_tree.load_edge)
        self.folded += len(leaves)
        return grown

    async def keep(self, *, interval: float = 1.0) -> None:
        """Keep the tree about ``interval`` seconds behind at most, for ever; a fault is logged once."""
        complained = ""
        while True:
            try:
                await self.catch_up()
                complained = ""
            except LedgerError as error:
                if str(error) != complained:
                    complained = str(error)
                    _logger.error("the tree cannot follow the log: %s", error)
            await anyio.sleep(interval)

    async def rebuild(self) -> TreeHead:
        """Forget the tree and fold it again from zero. Raises Unavailable once runs were pruned."""
        async with self._folding:
            self._edge = None
            await self._log.on_writer(_forget)
        await self.catch_up()
        return await self.head()

    async def size(self) -> int:
        """How many events the tree holds now, without folding any."""
        return (await self._log.on_reader(sqlite_tree.load_edge)).size

    async def behind(self) -> int:
        """How many events of the log the tree does not hold yet."""
        return await self._log.head() - await self.size()

    async def head(self, *, size: int | None = None) -> TreeHead:
        """The root now (caught up with the log), or as it was at ``size``. Raises NoSuchSize."""
        await self.catch_up(size)

        def root(_: object, read: ReadTile, edge: Edge) -> TreeHead:
            wanted = edge.size if size is None else size
            if wanted > edge.size:
                raise NoSuchSize(f"The log has {edge.size} events; there is no root of {wanted}.")
            return TreeHead(wanted, tree_root(read, wanted) if wanted else EMPTY_ROOT)

        return await self._with_tiles(root)

    async def inclusion(self, position: int, *, size: int | None = None) -> Inclusion:
        """Proof that the event at ``position`` is in the tree of ``size`` events. Raises NoSuchSize."""
        await self.catch_up(position if size is None else size)
        index = position - 1

        def prove(_: object, read: ReadTile, edge: Edge) -> Inclusion:
            wanted = edge.size if size is None else size
            if not 0 <= index < wanted <= edge.size:
                raise NoSuchSize(f"Position {position} is not among {wanted} of {edge.size} events.")
            leaf = read(0, index // TILE_WIDTH)[index % TILE_WIDTH * 32 :][:32]
            return Inclusion(
                index, wanted, leaf, inclusion_proof(read, index, wanted), tree_root(read, wanted)
            )

        return await self._with_tiles(prove)

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Proof that the tree of ``new`` events extends that of ``old``. Raises NoSuchSize."""
        await self.catch_up(new)

        def prove(_: object, read: ReadTile, edge: Edge) -> list[bytes]:
            if not 0 <= old <= new <= edge.size:
                raise NoSuchSize(f"There is no proof from {old} to {new} events in a log of {edge.size}.")
            return consistency_proof(read, old, new)

        return await self._with_tiles(prove)

    async def tile(self, level: int, number: int, width: int) -> bytes | None:
        """The first ``width`` hashes of a tile, None while there are not so many."""

        def take(_: object, read: ReadTile, edge: Edge) -> bytes | None:
            hashes = read(level, number)[: width * 32]
            return hashes if len(hashes) == width * 32 else None

        return await self._with_tiles(take)

    async def leaves(self, number: int, width: int) -> list[bytes | None] | None:
        """The stored bytes of the first ``width`` leaves under level-0 tile ``number``, None in the place of
        each that was pruned; None for all while there are not so many."""
        start = number * TILE_WIDTH
        stored = await self._log.read(start, limit=width)
        edge = await self._log.on_reader(sqlite_tree.load_edge)
        if len(stored) < width or start + width > edge.size:
            return None
        return [body for _, body in stored]

    async def _with_tiles(self, function: Callable[[object, ReadTile, Edge], _T]) -> _T:
        def call(connection: sqlite3.Connection) -> _T:
            edge = sqlite_tree.load_edge(connection)
            return function(connection, sqlite_tree.tile_reader(connection, edge), edge)

        return await self._log.on_reader(call)

    async def checkpoint(
        self, signer: Signer | None = None, *, now: float, if_grown_by: int = 0
    ) -> StoredCheckpoint:
        """Make and keep a checkpoint of the whole log as it stands, signed when there is a ``signer``.

        With ``if_grown_by`` the newest one is answered instead while the log has not grown by so much.
        """
        newest = await self.newest_checkpoint(signed=signer is not None)
        head = await self.head()
        if newest is not None and head.size - newest.size < max(if_grown_by, 1) and newest.root == head.root:
            return newest
        text = Checkpoint(self.origin if signer is None else signer.name, head.size, head.root).text
        note = format_note(text, [signer.line(text)] if signer else [])
        time = format_time(now)
        number = await self._log.on_writer(
            lambda file: sqlite_tree.add_checkpoint(
                file, size=head.size, root=head.root, time=time, note=note
            )
        )
        return StoredCheckpoint(number, head.size, head.root, time, note)

    async def newest_checkpoint(self, *, signed: bool = False) -> StoredCheckpoint | None:
        """The checkpoint of the largest size, or None."""
        return await self._log.on_reader(lambda file: sqlite_tree.newest_checkpoint(file, signed=signed))

    async def checkpoints(self) -> list[StoredCheckpoint]:
        """All checkpoints, oldest first."""
        return await self._log.on_reader(sqlite_tree.checkpoints)

    async def note(self, checkpoint: StoredCheckpoint) -> str:
        """The checkpoint as a note, with the lines that witnesses put under it."""
        lines = await self._log.on_reader(lambda file: sqlite_tree.cosignatures(file, checkpoint.number))
        if not lines:
            return checkpoint.note
        signed = parse_note(checkpoint.note)
        return format_note(signed.text, [*signed.lines, *lines])

    async def add_witness_lines(self, note: str) -> int:
        """Keep the signature lines of ``note``, a checkpoint of ours that others have signed.

        How many were new comes back. Raises InvalidNote when no such checkpoint was ever made here.
        """
        signed = parse_note(note)
        head = parse_checkpoint(signed.text)

        def add(connection: sqlite3.Connection) -> int:
            for kept in sqlite_tree.checkpoints(connection):
                text, _, lines = kept.note.partition("\n\n")
                if kept.size == head.size and text + "\n" == signed.text and lines:
                    new = [line for line in signed.lines if line not in lines.split("\n")]
                    return sqlite_tree.add_cosignatures(connection, kept.number, new)
            raise InvalidNote(f"No checkpoint of size {head.size} with this text was made by this log.")

        return await self._log.on_writer(add)


def _forget(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT 1 FROM run WHERE pruned IS NOT NULL LIMIT 1").fetchone():
        raise Unavailable(
            "Runs were pruned: their hashes are in the tree alone, so it cannot be built again."
        )
    sqlite_tree.forget_tree(connection)
