"""A job that is done once: over tries, processes and restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from progress_ledger.ledger import InvalidRun, Ledger, ReadOnly, SlotTaken
from progress_ledger.ledger.log import RunFilter, RunHead, RunPage
from progress_ledger.ledger.memory import MemoryLog
from tests.ledger.producing import events_of, head_of, process

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(tmp_path / "p.db") as opened:
        yield opened


async def tries_of(ledger: Ledger, name: str) -> list[RunHead]:
    """The runs of that name, oldest first."""
    return (await ledger.log.runs(RunFilter(scope=name), order="created")).runs


async def once(ledger: Ledger, name: str, *, fails: bool = False) -> bool:
    """Whether the job was done now."""
    async with ledger.run_once(name, kind="migration", total=2) as run:
        if run is None:
            return False
        await run.tick(2)
        if fails:
            raise ZeroDivisionError
        return True


@pytest.mark.acceptance("C14")
async def test_a_job_that_completed_is_never_done_again(ledger: Ledger, tmp_path: Path) -> None:
    assert await once(ledger, "add_index")
    assert not await once(ledger, "add_index")
    assert await once(ledger, "drop_table")
    (head,) = await tries_of(ledger, "add_index")
    assert (head.kind, head.status, head.version) == ("migration", "completed", 3)
    async with Ledger.open(tmp_path / "p.db") as reopened:
        assert not await once(reopened, "add_index")


@pytest.mark.acceptance("C14")
async def test_it_is_on_record_before_the_job_begins(ledger: Ledger) -> None:
    async with ledger.run_once("add_index") as run:
        assert run is not None
        head = await head_of(ledger, run.run_id)
        assert (head.kind, head.scope, head.status) == ("once", "add_index", "running")


@pytest.mark.acceptance("C14")
async def test_what_failed_is_tried_again_as_the_next_attempt(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError):
        await once(ledger, "add_index", fails=True)
    assert await once(ledger, "add_index")
    failed, completed = await tries_of(ledger, "add_index")
    assert (failed.status, failed.attempt) == ("failed", 1)
    assert (completed.status, completed.attempt) == ("completed", 2)
    (first, *_) = await events_of(ledger, completed.run_id)
    assert first["data"]["retry_of"] == failed.run_id


@pytest.mark.acceptance("C14")
async def test_what_died_in_the_middle_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    code = """
import anyio
from progress_ledger.ledger import Ledger
async def main():
    async with Ledger.open(path) as ledger, ledger.run_once("add_index", kind="migration") as run:
        await run.tick(1)
        print("begun", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""
    with process(path, code) as (child, says):
        assert says.readline() == "begun\n"
        async with Ledger.open(path) as ledger:
            with pytest.raises(SlotTaken):
                await once(ledger, "add_index")
            child.kill()
            child.wait()
            assert await once(ledger, "add_index")
            died, completed = await tries_of(ledger, "add_index")
            assert (died.status, completed.status) == ("interrupted", "completed")


async def test_of_many_that_ask_at_once_one_does_it(ledger: Ledger) -> None:
    done: list[bool] = []

    async def ask() -> None:
        with suppress(SlotTaken):
            done.append(await once(ledger, "add_index"))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert done.count(True) == 1
    statuses = [head.status for head in await tries_of(ledger, "add_index")]
    assert statuses.count("completed") == 1
    assert set(statuses) <= {"completed", "cancelled"}


async def test_one_that_looked_before_another_completed_leaves_the_job_alone(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its first looks, two of them, are at the time before; the other completes before it holds the slot.
    before = MemoryLog()
    real = ledger.log.runs
    looks = iter((before.runs, before.runs))

    async def runs(where: RunFilter, *, limit: int) -> RunPage:
        return await next(looks, real)(where, limit=limit)

    assert await once(ledger, "add_index")
    monkeypatch.setattr(ledger.log, "runs", runs)
    assert not await once(ledger, "add_index")
    monkeypatch.undo()
    completed, cancelled = await tries_of(ledger, "add_index")
    assert (completed.status, cancelled.status) == ("completed", "cancelled")
    events = await events_of(ledger, cancelled.run_id)
    assert events[-1]["data"] == {"reason": f"done already by {completed.run_id}"}


async def test_a_job_that_cannot_be_recorded_is_not_done(ledger: Ledger, tmp_path: Path) -> None:
    async with Ledger.open(tmp_path / "p.db", read_only=True) as unwritable:
        with pytest.raises(ReadOnly):
            await once(unwritable, "add_index")
    with pytest.raises(InvalidRun):
        await once(ledger, "n" * 600)
    assert await tries_of(ledger, "add_index") == []
