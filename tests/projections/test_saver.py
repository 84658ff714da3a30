"""Keeping states beside the log: in time, in bounded memory, and never at the price of the fold."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence

import anyio
import pytest

from progress_ledger.ledger.errors import DiskFull
from progress_ledger.ledger.events import Completed, Ticked
from progress_ledger.ledger.log import Document
from progress_ledger.ledger.memory import MemoryLog
from progress_ledger.projections.saver import UNKEPT, Saver
from progress_ledger.projections.states import States
from progress_ledger.projections.store import StateStore
from tests.projections.stories import Story, started

pytestmark = pytest.mark.anyio


class Log(MemoryLog):
    """A log whose disk may be full."""

    full = False

    async def save_documents(
        self, space: str, documents: Sequence[Document], *, checkpoint: int | None = None
    ) -> None:
        if self.full:
            raise DiskFull("The disk is full.")
        await super().save_documents(space, documents, checkpoint=checkpoint)


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    opened = Log()
    yield opened
    await opened.close()


@pytest.fixture
async def saver(log: Log) -> Saver:
    return Saver(log, StateStore(log))


def fold_runs(states: States, number: int, *, end: bool = True) -> list[str]:
    """So many runs, ended or not; their ids."""
    run_ids = [f"r{states.position}-{one}" for one in range(number)]
    for run_id in run_ids:
        story = Story(run_id=run_id, position=states.position).add(
            0, started().events[0].data, Ticked(done=1)
        )
        if end:
            story.add(1, Completed())
        for event in story.events:
            states.fold(event)
    return run_ids


async def test_a_save_keeps_what_changed_and_then_moves_the_checkpoint(log: Log, saver: Saver) -> None:
    states, store = States(), StateStore(log)
    run_ids = [*fold_runs(states, 3), *fold_runs(states, 2, end=False)]
    await saver.save(states)
    assert await store.checkpoint() == states.position == states.saved
    assert list(await store.load(run_ids)) == run_ids
    assert (states.unkept, states.changed()) == (0, [])


async def test_without_news_nothing_is_written(log: Log, saver: Saver) -> None:
    states = States()
    fold_runs(states, 1)
    await saver.save(states)
    log.full = True
    await saver.save(states)


async def test_a_full_disk_is_said_once_and_made_good_for_when_there_is_room(
    log: Log, saver: Saver, caplog: pytest.LogCaptureFixture
) -> None:
    states, store = States(), StateStore(log)
    run_ids = fold_runs(states, 2)
    log.full = True
    with caplog.at_level(logging.WARNING, "progress_ledger.projections"):
        await saver.save(states)
        await saver.save(states)
    assert len(caplog.records) == 1
    assert (await store.checkpoint(), states.unkept) == (0, 2)
    log.full = False
    await saver.save(states)
    assert list(await store.load(run_ids)) == run_ids
    assert await store.checkpoint() == states.position


async def test_ended_runs_that_cannot_be_kept_do_not_fill_the_memory(
    log: Log, saver: Saver, caplog: pytest.LogCaptureFixture
) -> None:
    states = States()
    log.full = True
    with caplog.at_level(logging.CRITICAL, "progress_ledger.projections"):
        for _ in range(4):
            fold_runs(states, UNKEPT)
            await saver.save(states)
            assert states.unkept <= UNKEPT
            assert len(states) <= 3 * UNKEPT
        await saver.relieve(states)
        assert states.unkept == 0
    assert states.saved == 0


async def test_a_fold_that_readers_wait_for_saves_only_when_the_memory_would_fill(
    log: Log, saver: Saver
) -> None:
    states = States()
    fold_runs(states, UNKEPT + 1)
    await saver.make_room(states)
    assert states.unkept == UNKEPT + 1
    saver.look_at(states)
    with anyio.fail_after(5):
        await saver.wait()
    fold_runs(states, 7 * UNKEPT)
    await saver.make_room(states)
    assert (states.unkept, await StateStore(log).checkpoint()) == (0, 0)


async def test_a_long_fold_is_relieved_of_its_ended_runs_without_moving_the_checkpoint(
    log: Log, saver: Saver
) -> None:
    states, store = States(), StateStore(log)
    run_ids = fold_runs(states, UNKEPT - 1)
    await saver.relieve(states, checkpoint=False)
    assert states.unkept == UNKEPT - 1
    run_ids += fold_runs(states, 1)
    await saver.relieve(states, checkpoint=False)
    assert (states.unkept, await store.checkpoint()) == (0, 0)
    assert len(await store.load(run_ids)) == UNKEPT


async def test_too_many_waiting_wake_whoever_saves(saver: Saver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("progress_ledger.projections.saver.SAVE_SECONDS", 3_600.0)
    states = States()
    fold_runs(states, UNKEPT)
    saver.look_at(states)
    with anyio.fail_after(5):
        await saver.wait()
