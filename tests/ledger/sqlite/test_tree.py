"""The tree's tables: what is stored once stays, and two folds at a time do not get into each other's way."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from progress_ledger.ledger.audit.merkle import Edge, leaf_hashes
from progress_ledger.ledger.sqlite import tree as sqlite_tree
from progress_ledger.ledger.sqlite.file import connect_writer
from tests.ledger.histories import make, tamper

pytestmark = pytest.mark.anyio


def _writer(path: Path) -> "closing[sqlite3.Connection]":
    return closing(connect_writer(path, durability="process", busy_timeout=5, now=0.0))


def test_of_two_folds_from_the_same_size_one_is_stored(tmp_path: Path) -> None:
    with _writer(tmp_path / "a.db") as file:
        edge = sqlite_tree.load_edge(file)
        grown, full = sqlite_tree.hash_leaves(edge, [b"leaf %d" % number for number in range(600)])
        assert sqlite_tree.store_edge(file, 0, grown, full)
        assert not sqlite_tree.store_edge(file, 0, grown, full)
        again = sqlite_tree.load_edge(file)
        assert (again.size, again.levels, again.root()) == (grown.size, grown.levels, grown.root())
        read = sqlite_tree.tile_reader(file, again)
        assert read(0, 1) == leaf_hashes([b"leaf %d" % number for number in range(256, 512)])
        assert len(read(0, 2)) == 88 * 32
        assert read(0, 3) == b""


async def test_full_tiles_and_checkpoints_are_never_changed(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", ticks=100)
    with _writer(path) as file:
        sqlite_tree.add_checkpoint(file, size=1, root=bytes(32), time="", note="a\n")
        for statement in (
            "UPDATE tile SET hashes = x''",
            "UPDATE tree_checkpoint SET size = 2",
            "DELETE FROM tree_checkpoint",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                file.execute(statement)


def test_a_checkpoint_is_kept_once_and_its_witness_lines_too(tmp_path: Path) -> None:
    with _writer(tmp_path / "a.db") as file:
        number = sqlite_tree.add_checkpoint(file, size=5, root=bytes(32), time="", note="a\n")
        assert sqlite_tree.add_checkpoint(file, size=5, root=bytes(32), time="later", note="a\n") == number
        other = sqlite_tree.add_checkpoint(file, size=5, root=bytes(32), time="", note="a\n\nsigned\n")
        assert [one.number for one in sqlite_tree.checkpoints(file)] == [number, other]
        signed = sqlite_tree.newest_checkpoint(file, signed=True)
        assert signed is not None
        assert signed.number == other
        assert sqlite_tree.add_cosignatures(file, other, ["x", "y", "x"]) == 2
        assert sqlite_tree.cosignatures(file, other) == ["x", "y"]


async def test_an_edge_that_does_not_fit_and_a_lost_tile_are_named(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", ticks=100)
    tamper(path, "DELETE FROM tile")
    with _writer(path) as file, pytest.raises(sqlite_tree.LogDamaged, match="Tile 0 of level 0"):
        sqlite_tree.read_tile(file, sqlite_tree.load_edge(file), 0, 0)
    tamper(path, "UPDATE tree SET size = size + 1")
    with _writer(path) as file, pytest.raises(sqlite_tree.LogDamaged, match="does not fit"):
        sqlite_tree.load_edge(file)


async def test_an_event_that_went_before_it_was_folded_stops_the_fold(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", fold=False)
    tamper(path, "UPDATE event SET body = NULL WHERE position = 4")
    with _writer(path) as file:
        with pytest.raises(sqlite_tree.LogDamaged, match="position 4 is gone") as caught:
            sqlite_tree.read_leaves(file, 0, 100)
        assert caught.value.fields() == {"position": 4}
        assert len(sqlite_tree.read_leaves(file, 4, 3)) == 3
        sqlite_tree.forget_tree(file)
        assert sqlite_tree.load_edge(file).root() == Edge().root()
