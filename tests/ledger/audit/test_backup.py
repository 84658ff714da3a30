"""A copy of a ledger in use is whole and verified, and a log of its own unless nothing can be missing."""

import shutil
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from progress_ledger.ledger.audit.backup import CopyDamaged, backup, restore
from progress_ledger.ledger.audit.note import Checkpoint
from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.sqlite.verify import check_hashes, verify_file
from tests.ledger.histories import ask, fill, ledger_at, make, tamper

pytestmark = pytest.mark.anyio


async def test_a_copy_is_one_moment_of_the_log_while_others_write(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.db", tmp_path / "copy.db"
    async with ledger_at(path) as (ledger, _):
        await fill(ledger, runs=3, ticks=100)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: fill(ledger, runs=2, ticks=100, prefix="meanwhile"))
            await to_thread.run_sync(lambda: backup(path, copy, now=1.0))
        epoch = ledger.epoch
    ((old, size, root),) = ask(copy, "SELECT epoch, position, root FROM lineage")
    assert old == epoch != ask(copy, "SELECT epoch FROM ledger")[0][0]
    assert isinstance(size, int)
    verdict = verify_file(copy)
    assert verdict.ok, verdict.findings
    assert 306 <= verdict.size == size
    assert check_hashes(path, [size]).roots[size] == root
    assert [each.name for each in tmp_path.iterdir() if ".part" in each.name] == []


async def test_a_restored_copy_is_a_new_log_each_time(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db")
    made = backup(path, tmp_path / "copy.db", now=1.0)
    one = restore(tmp_path / "copy.db", tmp_path / "one.db", now=2.0)
    other = restore(tmp_path / "copy.db", tmp_path / "other.db", now=2.0)
    assert len({made.epoch, made.copied_from, one.epoch, other.epoch}) == 4
    assert not one.proven


async def test_it_goes_on_as_the_old_log_when_the_old_file_or_a_checkpoint_of_its_end_proves_it(
    tmp_path: Path,
) -> None:
    path = await make(tmp_path / "a.db")
    made = backup(path, tmp_path / "copy.db", now=1.0)
    proven = restore(tmp_path / "copy.db", tmp_path / "one.db", lost=path, now=2.0)
    assert (proven.proven, proven.epoch) == (True, made.copied_from)
    head = Checkpoint("x", made.size, bytes.fromhex(made.root))
    assert restore(tmp_path / "copy.db", tmp_path / "two.db", heads=(head,), now=2.0).proven
    more = Checkpoint("x", made.size + 1, bytes(32))
    assert not restore(tmp_path / "copy.db", tmp_path / "three.db", heads=(head, more), now=2.0).proven
    async with ledger_at(path) as (ledger, _):
        await fill(ledger, prefix="after")
    assert not restore(tmp_path / "copy.db", tmp_path / "four.db", lost=path, now=2.0).proven


async def test_what_is_there_is_never_overwritten_and_what_is_damaged_never_put_in_place(
    tmp_path: Path,
) -> None:
    path = await make(tmp_path / "a.db")
    with pytest.raises(Unavailable, match="exists"):
        backup(path, path, now=1.0)
    backup(path, tmp_path / "copy.db", now=1.0)
    with pytest.raises(Unavailable, match="no backup"):
        restore(path, tmp_path / "new.db", now=1.0)
    tamper(
        tmp_path / "copy.db", "UPDATE event SET body = replace(body, 'passed', 'failed') WHERE position = 9"
    )
    with pytest.raises(CopyDamaged):
        restore(tmp_path / "copy.db", tmp_path / "new.db", now=1.0)
    assert not (tmp_path / "new.db").exists()
    shutil.copy(path, tmp_path / "b.db")
    tamper(tmp_path / "b.db", "DELETE FROM event WHERE position = 4")
    with pytest.raises(CopyDamaged):
        backup(tmp_path / "b.db", tmp_path / "c.db", now=1.0)
    assert ask(path, "SELECT count(*) FROM lineage") == [(0,)]
