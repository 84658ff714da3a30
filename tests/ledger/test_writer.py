"""The writer: one commit for all that waits, receipts after the listeners, nothing lost on the way out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from progress_ledger.ledger.door import draft_event, draft_run
from progress_ledger.ledger.errors import Closed, DiskFull, Locked, RunNotFound
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.log import Accepted, Append, Commit
from progress_ledger.ledger.memory import MemoryLog
from progress_ledger.ledger.writer import MAX_BATCH, MAX_WAITING, Writer

pytestmark = pytest.mark.anyio


class SlowLog(MemoryLog):
    """Commits when told to, counts, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.gate = anyio.Event()
        self.entered = anyio.Event()
        self.fails: list[Exception] = []
        self.gate.set()

    def hold(self) -> None:
        self.gate = anyio.Event()
        self.entered = anyio.Event()

    async def commit(self, requests: Sequence[Append], *, now: float) -> Commit:
        self.entered.set()
        await self.gate.wait()
        if self.fails:
            raise self.fails.pop(0)
        self.sizes.append(sum(len(request.drafts) for request in requests))
        return await super().commit(requests, now=now)


@asynccontextmanager
async def _running(log: MemoryLog) -> AsyncIterator[Writer]:
    writer = Writer(log, lambda: 1_795_300_000.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        yield writer
        writer.close()


def _creation(run_id: str = "r") -> Append:
    return Append(run_id=run_id, drafts=[draft_run(RunSpec(kind="k"))], create=True)


def _tick(done: int = 1, run_id: str = "r", event_id: str | None = None, times: int = 1) -> Append:
    return Append(run_id=run_id, drafts=[draft_event(Ticked(done=done), event_id=event_id)] * times)


async def test_what_gathers_during_a_commit_goes_in_one() -> None:
    log = SlowLog()
    async with _running(log) as writer:
        await writer.append([_creation()])
        log.hold()
        async with anyio.create_task_group() as producers:
            producers.start_soon(writer.append, [_tick()])
            await log.entered.wait()
            for done in range(50):
                producers.start_soon(writer.append, [_tick(done)])
            await _until(lambda: writer.statistics.waiting == 50)
            log.gate.set()
    assert log.sizes == [1, 1, 50]
    statistics = writer.statistics
    assert (statistics.commits, statistics.events, statistics.waiting) == (3, 52, 0)


async def test_a_batch_has_a_bound_and_a_larger_request_still_goes_whole() -> None:
    log = SlowLog()
    async with _running(log) as writer:
        await writer.append([_creation()])
        log.hold()
        async with anyio.create_task_group() as producers:
            producers.start_soon(writer.append, [_tick()])
            await log.entered.wait()
            producers.start_soon(writer.append, [_tick(times=MAX_BATCH - 1)])
            producers.start_soon(writer.append, [_tick()])
            producers.start_soon(writer.append, [_tick()])
            producers.start_soon(writer.append, [_tick(times=MAX_BATCH + 5)])
            await _until(lambda: writer.statistics.waiting == 2 * MAX_BATCH + 6)
            log.gate.set()
    assert log.sizes == [1, 1, MAX_BATCH, 1, MAX_BATCH + 5]


async def test_whoever_brings_more_than_may_wait_waits_for_a_place() -> None:
    log = SlowLog()
    async with _running(log) as writer:
        await writer.append([_creation()])
        log.hold()
        answers: list[int] = []

        async def bring() -> None:
            (outcome,) = await writer.append([_tick(times=MAX_BATCH)])
            assert isinstance(outcome, Accepted)
            answers.append(outcome.appended)

        async with anyio.create_task_group() as producers:
            for _ in range(40):
                producers.start_soon(bring)
            await log.entered.wait()
            await anyio.wait_all_tasks_blocked()
            assert writer.statistics.waiting <= MAX_WAITING + MAX_BATCH
            log.gate.set()
    assert answers == [MAX_BATCH] * 40


async def test_each_request_gets_its_own_outcome() -> None:
    async with _running(MemoryLog()) as writer:
        created, ticked, lost = await writer.append([_creation(), _tick(), _tick(run_id="nobody")])
        assert isinstance(created, Accepted)
        assert isinstance(ticked, Accepted)
        assert ticked.receipts[0].version == 2
        assert isinstance(lost, RunNotFound)


async def test_listeners_hear_of_a_commit_before_its_receipt_and_in_order() -> None:
    heard: list[str] = []
    async with _running(MemoryLog()) as writer:
        stop = writer.listen(lambda commit: heard.extend(each.event.type for each in commit.events))
        await writer.append([_creation()])
        assert heard == ["started"]
        await writer.append([_tick(), _tick(2)])
        assert heard == ["started", "ticked", "ticked"]
        await writer.append([_tick(run_id="nobody")])
        stop()
        stop()
        await writer.append([_tick()])
        assert len(heard) == 3


async def test_a_listener_that_raises_stops_neither_the_receipt_nor_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[int] = []

    def bad(commit: Commit) -> None:
        raise ZeroDivisionError

    def worse(events: int, seconds: float) -> None:
        raise ZeroDivisionError

    async with _running(MemoryLog()) as writer:
        writer.observe(worse)
        writer.listen(bad)
        writer.listen(lambda commit: heard.append(len(commit.events)))
        with caplog.at_level(logging.ERROR):
            (outcome,) = await writer.append([_creation()])
        assert isinstance(outcome, Accepted)
    assert heard == [1]
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


async def test_observers_are_told_the_size_and_time_of_each_commit() -> None:
    seen: list[tuple[int, float]] = []
    async with _running(MemoryLog()) as writer:
        writer.observe(lambda events, seconds: seen.append((events, seconds)))
        await writer.append([_creation(), _tick()])
    assert [events for events, _ in seen] == [2]
    assert seen[0][1] >= 0


@pytest.mark.parametrize("fault", [Locked("held."), DiskFull("full."), RuntimeError("a bug")])
async def test_a_failed_commit_fails_its_own_batch_and_the_next_one_works(fault: Exception) -> None:
    log = SlowLog()
    async with _running(log) as writer:
        await writer.append([_creation()])
        log.fails.append(fault)
        with pytest.raises(type(fault)):
            await writer.append([_tick()])
        (outcome,) = await writer.append([_tick()])
        assert isinstance(outcome, Accepted)
        assert outcome.receipts[0].version == 2


async def test_a_producer_cancelled_before_its_turn_appends_nothing() -> None:
    log = SlowLog()
    async with _running(log) as writer:
        await writer.append([_creation()])
        log.hold()
        async with anyio.create_task_group() as producers:
            producers.start_soon(writer.append, [_tick()])
            await log.entered.wait()
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as cancelled:
                    cancelled.start_soon(writer.append, [_tick(2, event_id="a")])
                    await _until(lambda: writer.statistics.waiting == 1)
                    scope.cancel()
            log.gate.set()
        (outcome,) = await writer.append([_tick(3)])
        assert isinstance(outcome, Accepted)
    assert log.sizes == [1, 1, 1]
    head = await log.run("r")
    assert head is not None
    assert head.version == 3


async def test_a_producer_cancelled_between_send_and_receipt_is_appended_and_can_learn_it() -> None:
    log = SlowLog()
    async with _running(log) as writer:
        await writer.append([_creation()])
        log.hold()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(writer.append, [_tick(2, event_id="a")])
                await log.entered.wait()
                scope.cancel()
        log.gate.set()
        (again,) = await writer.append([_tick(2, event_id="a")])
        assert isinstance(again, Accepted)
        assert again.appended == 0
        assert again.receipts[0].version == 2
    assert log.sizes == [1, 1, 1]


async def test_closing_answers_all_that_is_in_line_and_refuses_what_comes_later() -> None:
    log = SlowLog()
    answers: list[object] = []

    async def bring(writer: Writer) -> None:
        answers.extend(await writer.append([_tick()]))

    async with anyio.create_task_group() as producers, _running(log) as writer:
        await writer.append([_creation()])
        log.hold()
        for _ in range(10):
            producers.start_soon(bring, writer)
        await log.entered.wait()
        writer.close()
        with pytest.raises(Closed):
            await writer.append([_tick()])
        log.gate.set()
    assert [type(answer) for answer in answers] == [Accepted] * 10


async def test_whoever_waits_for_a_place_when_the_writer_closes_is_told() -> None:
    log = SlowLog()
    refused: list[Exception] = []

    async def bring(writer: Writer) -> None:
        try:
            await writer.append([_tick(times=MAX_WAITING)])
        except Closed as error:
            refused.append(error)

    async with anyio.create_task_group() as producers, _running(log) as writer:
        await writer.append([_creation()])
        log.hold()
        for _ in range(3):
            producers.start_soon(bring, writer)
        await log.entered.wait()
        await anyio.wait_all_tasks_blocked()
        writer.close()
        log.gate.set()
    assert len(refused) == 1
    assert log.sizes == [1, MAX_WAITING, MAX_WAITING]


async def test_a_writer_that_is_cancelled_finishes_what_is_in_line() -> None:
    log = SlowLog()
    writer = Writer(log, lambda: 0.0)
    answers: list[object] = []

    async def bring(run_id: str) -> None:
        answers.extend(await writer.append([_creation(run_id)]))

    async with anyio.create_task_group() as producers, anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        log.hold()
        producers.start_soon(bring, "a")
        await log.entered.wait()
        producers.start_soon(bring, "b")
        await _until(lambda: writer.statistics.waiting == 1)
        tasks.cancel_scope.cancel()
        log.gate.set()
    assert [type(answer) for answer in answers] == [Accepted] * 2
    with pytest.raises(Closed):
        await writer.append([_creation("c")])


async def _until(condition: object) -> None:
    assert callable(condition)
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
