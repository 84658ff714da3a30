"""The tree follows the log, comes to the same root however it is folded, and proves what it says."""

from pathlib import Path

import anyio
import pytest

from progress_ledger.ledger.audit import merkle
from progress_ledger.ledger.audit.note import (
    InvalidNote,
    format_note,
    new_signer,
    parse_checkpoint,
    parse_note,
)
from progress_ledger.ledger.audit.tree import NoSuchSize, Tree
from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.ledger import Ledger, open_log
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.tree import LogDamaged
from tests.ledger.histories import ask, fill, ledger_at, make, tamper

pytestmark = pytest.mark.anyio


async def _leaves(ledger: Ledger) -> list[bytes]:
    return [body for _, body in await ledger.log.read(0, limit=100_000) if body is not None]


@pytest.mark.parametrize("portion", [1, 7, 256, 8192])
async def test_the_root_is_that_of_the_stored_bytes_in_whatever_portions_they_are_folded(
    tmp_path: Path, portion: int
) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, _):
        await fill(ledger, runs=4, ticks=70)
        assert isinstance(ledger.log, SQLiteLog)
        tree = Tree(ledger.log, portion=portion)
        edge = merkle.Edge()
        edge.append(merkle.leaf_hashes(await _leaves(ledger)))
        assert await tree.head() == (edge.size, edge.root())
        assert tree.folded == edge.size
        assert await tree.behind() == 0


async def test_folded_again_from_zero_it_comes_to_the_same_root(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, tree):
        await fill(ledger, runs=3, ticks=200)
        before = await tree.head()
        assert await tree.rebuild() == before


async def test_several_trees_on_one_file_share_the_work_and_agree(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, _), open_log(tmp_path / "a.db") as other:
        await fill(ledger, runs=3, ticks=300)
        assert isinstance(ledger.log, SQLiteLog)
        assert isinstance(other, SQLiteLog)
        trees = [Tree(ledger.log, portion=16), Tree(ledger.log, portion=64), Tree(other, portion=32)]
        async with anyio.create_task_group() as tasks:
            for tree in trees:
                tasks.start_soon(tree.catch_up)
        heads = [await tree.head() for tree in trees]
        assert heads[0] == heads[1] == heads[2]
        assert heads[0].size == await ledger.log.head()


async def test_proofs_hold_against_every_root(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, tree):
        await fill(ledger, runs=3, ticks=120)
        leaves = await _leaves(ledger)
        size = len(leaves)
        for position in (1, 2, 255, 256, 257, size):
            for at in (position, size):
                found = await tree.inclusion(position, size=at)
                leaf = merkle.leaf_hash(leaves[position - 1])
                assert found.leaf == leaf
                assert merkle.verify_inclusion(leaf, found.index, at, found.proof, found.root)
                old = (await tree.head(size=position)).root
                steps = await tree.consistency(position, at)
                assert merkle.verify_consistency(position, at, steps, old, found.root)


async def test_what_is_not_there_yet_is_refused(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, tree):
        await fill(ledger)
        size = await ledger.log.head()
        with pytest.raises(NoSuchSize):
            await tree.inclusion(size + 1)
        with pytest.raises(NoSuchSize):
            await tree.consistency(1, size + 1)
        with pytest.raises(NoSuchSize):
            await tree.inclusion(3, size=2)
        with pytest.raises(NoSuchSize):
            await tree.consistency(5, 2)
        assert await tree.tile(0, 0, size + 1) is None
        assert await tree.leaves(0, size + 1) is None
        assert len(await tree.leaves(0, size) or []) == size


async def test_checkpoints_are_kept_and_the_same_head_is_not_signed_twice(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    async with ledger_at(tmp_path / "a.db") as (ledger, tree):
        signer = new_signer(tree.origin)
        await fill(ledger)
        first = await tree.checkpoint(signer, now=1.0)
        assert await tree.checkpoint(signer, now=2.0) == first
        assert parse_checkpoint(first.note).root == first.root
        assert signer.public.signed(parse_note(first.note))
        await fill(ledger, prefix="later")
        second = await tree.checkpoint(signer, now=3.0)
        assert second.size > first.size
        assert [one.size for one in await tree.checkpoints()] == [first.size, second.size]
        assert await tree.newest_checkpoint(signed=True) == second


async def test_a_witness_line_is_kept_and_shown_under_the_checkpoint_it_is_for(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    async with ledger_at(tmp_path / "a.db") as (ledger, tree):
        await fill(ledger)
        made = await tree.checkpoint(new_signer(tree.origin), now=1.0)
        note = parse_note(made.note)
        key, line = new_signer("witness.example").cosign(note.text, 1_800_000_000)
        signed = format_note(note.text, [*note.lines, line])
        assert await tree.add_witness_lines(signed) == 1
        assert await tree.add_witness_lines(signed) == 0
        assert key.signed(parse_note(await tree.note(made)))
        with pytest.raises(InvalidNote, match="No checkpoint of size"):
            await tree.add_witness_lines(signed.replace(tree.origin, "other"))


async def test_a_hole_in_the_log_stops_the_fold_and_says_where(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", fold=False)
    tamper(path, "DELETE FROM event WHERE position = 7")
    async with ledger_at(path) as (_, tree):
        with pytest.raises(LogDamaged, match="Position 7 is missing"):
            await tree.catch_up()


async def test_the_tree_is_not_forgotten_once_runs_were_pruned(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db")
    tamper(path, "UPDATE run_entry SET pruned = '' WHERE run_id = 'run-0'")
    async with ledger_at(path) as (_, tree):
        with pytest.raises(Unavailable, match="pruned"):
            await tree.rebuild()


async def test_keeping_up_folds_what_comes_without_being_asked(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, tree), anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: tree.keep(interval=0.01))
        await fill(ledger)
        with anyio.fail_after(10):
            while await tree.behind():  # noqa: ASYNC110 - the fold tells nobody
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert ask(tmp_path / "a.db", "SELECT size FROM tree") == [(21,)]
