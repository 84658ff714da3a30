"""The asynchronous producer, on a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from progress_ledger.ledger import (
    CancelRequested,
    Completed,
    InvalidEvent,
    InvalidRun,
    Ledger,
    RunCancelled,
    RunEnded,
    RunExists,
    RunNotFound,
    RunSpec,
    SlotTaken,
    VersionConflict,
)
from tests.ledger.producing import advanced, events_of, head_of, tick_from_threads, types_of, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(tmp_path / "p.db") as opened:
        yield opened


@pytest.mark.acceptance("A6", "C10")
async def test_leaving_normally_completes_after_the_last_state(ledger: Ledger) -> None:
    async with ledger.run("k", total=1_000) as run:
        for _ in range(1_000):
            run.advance(1, counts={"passed": 1})
    events = await events_of(ledger, run.run_id)
    assert events[-1]["type"] == "completed"
    assert advanced(events) == 1_000
    assert sum(event["data"].get("counts", {}).get("passed", 0) for event in events) == 1_000
    assert len(events) <= 6


async def test_an_exception_fails_the_run_and_goes_on(ledger: Ledger) -> None:
    async def job() -> None:
        async with ledger.run("k", run_id="r") as run:
            run.advance(3)
            raise ZeroDivisionError("no way")

    with pytest.raises(ZeroDivisionError):
        await job()
    events = await events_of(ledger, "r")
    assert [event["type"] for event in events] == ["started", "ticked", "failed"]
    assert events[-1]["data"] == {"error": "ZeroDivisionError: no way"}


async def test_the_exception_of_a_body_leaves_the_ledger_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain"):
        async with Ledger.open(tmp_path / "q.db"):
            raise ValueError("plain")


async def test_cancellation_is_recorded_and_goes_on(ledger: Ledger) -> None:
    inside = anyio.Event()

    async def job() -> None:
        async with ledger.run("k", run_id="r") as run:
            run.advance(2)
            inside.set()
            await anyio.sleep_forever()

    task = asyncio.create_task(job())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await types_of(ledger, "r"))[-1] == "cancelled"
    assert advanced(await events_of(ledger, "r")) == 2


async def test_cancellation_by_a_scope_is_recorded(ledger: Ledger) -> None:
    with anyio.move_on_after(0.05):
        async with ledger.run("k", run_id="r"):
            await anyio.sleep_forever()
    assert (await types_of(ledger, "r"))[-1] == "cancelled"


async def test_tick_is_one_event_on_disk_when_it_returns(ledger: Ledger) -> None:
    async with ledger.run("k") as run:
        first = await run.tick(3, counts={"a": 1}, message="m")
        second = await run.tick(done=7, total=9)
        third = await run.tick()
        assert first is not None
        assert second is not None
        assert third is not None
        assert [first.version, second.version, third.version] == [2, 3, 4]
        events = await events_of(ledger, run.run_id)
    assert [event["data"] for event in events[1:]] == [
        {"advance": 3, "counts": {"a": 1}, "message": "m"},
        {"done": 7, "total": 9},
        {"advance": 1},
    ]


async def test_a_tick_with_what_was_merged_is_still_one(ledger: Ledger) -> None:
    async with ledger.run("k") as run:
        run.advance(4)
        receipt = await run.tick(1)
        assert receipt is not None
        assert receipt.version == 2
    assert advanced(await events_of(ledger, run.run_id)) == 5


@pytest.mark.acceptance("D3", "D17")
async def test_facts_keep_their_order_among_merged_ticks(ledger: Ledger) -> None:
    async with ledger.run("k", stages=["a", "b"]) as run:
        async with run.stage("a"):
            run.advance(1)
            await run.total(5)
            run.advance(2)
        await run.stage("b", total=9)
        run.set(3, 9)
        await run.note("look", level="warning", link="https://example.org")
        await run.rewind(1, reason="again")
        await run.heartbeat()
    assert await types_of(ledger, run.run_id) == [
        "started", "stage_changed", "ticked", "total_changed", "ticked", "stage_changed", "ticked",
        "noted", "rewound", "heartbeat", "completed",
    ]  # fmt: skip


async def test_a_paused_run_holds_its_ticks_and_resumes(ledger: Ledger) -> None:
    async with ledger.run("k") as run:
        await run.pause("lunch")
        run.advance(2)
        await anyio.sleep(0.4)
        await run.resume()
    assert await types_of(ledger, run.run_id) == ["started", "paused", "resumed", "ticked", "completed"]


async def test_a_queued_run_starts_with_its_first_work(ledger: Ledger) -> None:
    async with ledger.run("k", queued=True) as run:
        await run.note("waiting")
        await run.tick()
    assert await types_of(ledger, run.run_id) == ["queued", "noted", "started", "ticked", "completed"]


@pytest.mark.acceptance("A12", "A13")
async def test_a_held_slot_says_who_holds_it_and_is_free_after_the_end(ledger: Ledger) -> None:
    async with ledger.run("k", slot="s") as holder:
        with pytest.raises(SlotTaken) as taken:
            async with ledger.run("k", slot="s"):
                raise AssertionError("entered a held slot")
        told = taken.value.run
        assert (told.run_id, told.kind, told.status) == (holder.run_id, "k", "running")
        assert told.owner
        assert told.owner.startswith(ledger.owner)
    async with ledger.run("k", slot="s"):
        pass


async def test_of_twenty_that_race_for_a_slot_one_gets_it(ledger: Ledger) -> None:
    entered: list[str] = []
    go = anyio.Event()

    async def race() -> None:
        try:
            async with ledger.run("k", slot="s") as run:
                entered.append(run.run_id)
                await go.wait()
        except SlotTaken:
            if len(entered) == 1:
                go.set()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(race)
    assert len(entered) == 1


async def test_wrong_arguments_raise_at_entry(ledger: Ledger) -> None:
    with pytest.raises(InvalidRun):
        async with ledger.run("k", run_id="a/b"):
            pass
    with pytest.raises(InvalidRun):
        async with ledger.run("k", total=-1):
            pass
    with pytest.raises(ValueError, match="run_id"):
        async with ledger.run("k", attach=True):
            pass
    with pytest.raises(RunNotFound):
        async with ledger.run("k", run_id="none", attach=True):
            pass
    async with ledger.run("k", run_id="r") as run:
        with pytest.raises(RunExists):
            async with ledger.run("k", run_id="r", title="other"):
                pass
        with pytest.raises(RunExists):
            async with ledger.run("k", run_id="r"):
                pass
        with pytest.raises(InvalidEvent):
            await run.tick(-1)
    with pytest.raises(RunEnded):
        async with ledger.run("k", run_id="r", attach=True):
            pass


async def test_attaching_joins_and_ends_nothing(ledger: Ledger) -> None:
    async with ledger.run("k", run_id="r"):
        async with ledger.run("k", run_id="r", attach=True) as other:
            other.advance(4)
        assert (await head_of(ledger, "r")).status == "running"
        assert advanced(await events_of(ledger, "r")) == 4


async def test_a_request_to_cancel_is_seen_and_leaving_for_it_is_cancelled(ledger: Ledger) -> None:
    async with ledger.run("k") as run:
        assert not run.cancel_requested
        await ledger.append(run.run_id, [CancelRequested(reason="enough")])
        await until(lambda: run.cancel_requested)
    last = (await events_of(ledger, run.run_id))[-1]
    assert (last["type"], last["data"]) == ("cancelled", {"reason": "enough"})


async def test_a_request_to_cancel_raises_at_the_next_call_when_asked_to(ledger: Ledger) -> None:
    async def job() -> None:
        async with ledger.run("k", run_id="r", raise_on_cancel=True) as run:
            await ledger.append("r", [CancelRequested()])
            with anyio.fail_after(10):
                while True:
                    run.advance()
                    await anyio.sleep(0.02)

    with pytest.raises(RunCancelled):
        await job()
    assert (await types_of(ledger, "r"))[-1] == "cancelled"


@pytest.mark.acceptance("A30", "A31", "E10")
async def test_a_run_ended_by_others_keeps_its_outcome_and_its_producer_is_told_once(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    async with ledger.run("k") as run:
        await ledger.append(run.run_id, [Completed()])
        assert await run.tick() is None
        assert await run.tick() is None
        run.advance()
        assert run.ended_by_others == "completed"
    assert await types_of(ledger, run.run_id) == ["started", "completed"]
    told = [record for record in caplog.records if "retry_of" in record.getMessage()]
    assert len(told) == 1


async def test_ended_by_others_raises_when_strict(ledger: Ledger) -> None:
    async def job() -> None:
        async with ledger.run("k", strict=True) as run:
            await ledger.append(run.run_id, [Completed()])
            await run.tick()

    with pytest.raises(RunEnded):
        await job()


async def test_ending_by_hand_ends_once(ledger: Ledger) -> None:
    async with ledger.run("k") as run:
        await run.complete("all good", {"rows": 3})
        await run.fail("too late")
        assert await run.note("late") is None
    events = await events_of(ledger, run.run_id)
    assert [event["type"] for event in events] == ["started", "completed"]
    assert events[-1]["data"] == {"message": "all good", "result": {"rows": 3}}


async def test_children_name_their_parent(ledger: Ledger) -> None:
    async with ledger.run("k") as run, run.child("part", title="one") as child:
        await child.tick()
    assert (await head_of(ledger, child.run_id)).parent == run.run_id


@pytest.mark.acceptance("C15", "E11")
async def test_a_retry_is_a_run_of_its_own_that_counts_its_attempts(ledger: Ledger) -> None:
    async with ledger.run("k") as first:
        await first.fail("no")
    async with ledger.run("k", retry_of=first.run_id) as second:
        pass
    assert (await head_of(ledger, second.run_id)).attempt == 2


async def test_threads_advance_without_a_loop_of_their_own(ledger: Ledger) -> None:
    async with ledger.run("k") as run:
        await anyio.to_thread.run_sync(lambda: tick_from_threads(run.advance, times=5_000))
    assert advanced(await events_of(ledger, run.run_id)) == 20_000


async def test_a_ledger_that_closes_lets_open_runs_say_what_they_have(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path / "q.db") as ledger:
        run = ledger.run("k", run_id="r")
        entered = await run.__aenter__()
        await entered.tick()
        entered.advance(5)
    async with Ledger.open(tmp_path / "q.db") as ledger:
        assert advanced(await events_of(ledger, "r")) == 6


async def test_the_log_refuses_what_a_producer_planned_on_an_old_state(ledger: Ledger) -> None:
    async with ledger.run("k", run_id="r") as run:
        await run.tick()
        with pytest.raises(VersionConflict):
            await ledger.append("r", [Completed()], expected_version=1)
        assert await ledger.create(RunSpec(kind="k"), run_id="s")


async def test_an_end_that_cannot_be_stored_is_none_and_the_run_still_ends(ledger: Ledger) -> None:
    with pytest.raises(InvalidEvent):
        async with ledger.run("k", run_id="r") as run:
            await run.complete(result=object())
    assert await types_of(ledger, "r") == ["started", "failed"]
