"""The projector keeps up with the log, whoever writes it, and comes back to the same states, however left."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from progress_ledger.ledger import codec
from progress_ledger.ledger.errors import Closed, Pruned, RunNotFound, Unavailable
from progress_ledger.ledger.events import (
    Completed,
    Failed,
    Payload,
    RunSpec,
    Stage,
    StageChanged,
    Ticked,
    TotalChanged,
)
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import EventLog, Recorded, RunFilter, Visit
from progress_ledger.projections import Projector, RunState, view
from progress_ledger.projections import saver as saver_module
from progress_ledger.projections.states import States
from progress_ledger.projections.store import SPACE

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["file", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    path = tmp_path / "log.db" if request.param == "file" else ":memory:"
    async with Ledger.open(path) as opened:
        yield opened


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[tuple[Ledger, Projector]]:
    async with Ledger.open(path, **options) as ledger, Projector.open(ledger) as projector:
        yield ledger, projector


async def add_run(ledger: Ledger, run_id: str, *events: Payload, **spec: Any) -> None:
    await ledger.create(RunSpec(kind=spec.pop("kind", "k"), **spec), run_id=run_id)
    if events:
        await ledger.append(run_id, events)


async def fresh_fold(log: EventLog) -> dict[str, RunState]:
    """Every run's state, folded from zero without a projector."""
    states, seen = States(), {}
    after = 0
    while page := await log.read(after, limit=1_000):
        for position, body in page:
            if body is not None:
                event = codec.decode(body, position)
                seen[event.run_id] = states.fold(event)
        after = page[-1][0]
    return {run_id: state for run_id, state in seen.items() if state is not None}


async def assert_like_a_fresh_fold(ledger: Ledger, projector: Projector) -> None:
    wanted = await fresh_fold(ledger.log)
    assert await projector.states(list(wanted)) == wanted
    assert {state.run_id for state in projector.active()} == {
        run_id for run_id, state in wanted.items() if state.finished_at is None
    }


def started_process(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await anyio.sleep(0.01)


class Listener:
    """A follower that keeps what it was told."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.versions: list[tuple[str, int]] = []
        self.settles = 0

    def folded(self, recorded: Recorded, state: RunState) -> None:
        assert state.version == recorded.event.version
        self.positions.append(recorded.event.position)
        self.versions.append((recorded.event.run_id, state.version))

    def settled(self) -> None:
        self.settles += 1


# ── this process's commits ──────────────────────────────────────────────────────────────────────────────


async def test_an_event_is_folded_before_its_receipt_is_given(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        await ledger.create(RunSpec(kind="k", total=4), run_id="r")
        accepted = await ledger.append("r", [Ticked(done=1)])
        state = projector.peek("r")
        assert state is not None
        assert (projector.position, state.done) == (accepted.receipts[0].position, 1)


async def test_snapshots_come_in_the_order_asked_for_and_leave_out_what_is_not_there(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        for run_id in ("a", "b", "c"):
            await add_run(ledger, run_id, Ticked(done=1), total=2)
        await ledger.append("b", [Completed()])
        found = await projector.snapshots(["c", "nobody", "b", "a"])
        assert list(found) == ["c", "b", "a"]
        assert [seen.status for seen in found.values()] == ["running", "completed", "running"]
        assert await projector.snapshot("nobody") is None


async def test_the_same_moment_gives_the_same_snapshot(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        await add_run(ledger, "r", Ticked(done=1), total=2)
        now = ledger.clock() + 50.0
        assert await projector.snapshot("r", now=now) == await projector.snapshot("r", now=now)


async def test_stalled_names_the_active_runs_that_are_silent(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        await add_run(ledger, "quick", stall_seconds=5.0)
        await add_run(ledger, "slow", stall_seconds=500.0)
        assert projector.stalled() == frozenset()
        assert projector.stalled(ledger.clock() + 50.0) == {"quick"}


async def test_a_follower_is_told_of_every_event_once_and_in_order(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        listener = Listener()
        stop = projector.follow(listener)
        await add_run(ledger, "a", Ticked(done=1), Ticked(done=2))
        await add_run(ledger, "b", Completed())
        assert listener.versions == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)]
        assert listener.positions == sorted(set(listener.positions))
        assert listener.settles == 4
        stop()
        await ledger.append("a", [Ticked(done=3)])
        assert len(listener.positions) == 5


async def test_a_follower_that_raises_stops_neither_the_fold_nor_the_others(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Listener):
        def folded(self, recorded: Recorded, state: RunState) -> None:
            raise RuntimeError("no")

        def settled(self) -> None:
            raise RuntimeError("no")

    async with Projector.open(ledger) as projector:
        listener = Listener()
        projector.follow(Broken())
        projector.follow(listener)
        with caplog.at_level(logging.CRITICAL, "progress_ledger.projections"):
            await add_run(ledger, "a", Ticked(done=1))
        assert listener.versions == [("a", 1), ("a", 2)]
        assert await projector.caught_up() == listener.positions[-1]


# ── other writers of the file ───────────────────────────────────────────────────────────────────────────


async def test_what_another_process_committed_is_seen_by_the_next_read(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, projector):
        listener = Listener()
        projector.follow(listener)
        await add_run(ledger, "mine", Ticked(done=1))
        for number, end in enumerate(("end", "open")):
            command = [
                sys.executable,
                "-m",
                "tests.projections.second",
                "append",
                str(path),
                f"theirs-{number}",
                "95",
                end,
            ]
            done = await anyio.run_process(command)
            assert b"appended" in done.stdout
            found = await projector.snapshot(f"theirs-{number}")
            assert found is not None
            assert (found.done, found.status) == (95, "completed" if end == "end" else "running")
        await assert_like_a_fresh_fold(ledger, projector)
        assert listener.positions == list(range(1, projector.position + 1))


async def test_two_writers_in_turn_are_both_folded_in_order(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (one, first), opened(path) as (two, second):
        listeners = Listener(), Listener()
        first.follow(listeners[0])
        second.follow(listeners[1])
        await add_run(one, "r", total=100)
        for done in range(1, 40):
            await (one, two)[done % 2].append("r", [Ticked(done=done)])
            if done % 7 == 0:
                assert (await first.states(["r"]))["r"].done == done
        for ledger, projector, listener in zip((one, two), (first, second), listeners, strict=True):
            await projector.caught_up()
            await assert_like_a_fresh_fold(ledger, projector)
            assert listener.versions == [("r", version) for version in range(1, 41)]


async def test_others_commits_are_noticed_without_being_asked(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (_, projector), Ledger.open(path) as other:
        await add_run(other, "r", Ticked(done=1))
        await until(lambda: projector.position == 2)


async def test_a_run_that_ended_elsewhere_and_was_pruned_before_it_was_folded_is_not_active(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, projector), Ledger.open(path) as other:
        await add_run(ledger, "r", Ticked(done=1))
        held, looking = asyncio.Event(), asyncio.Event()
        real = ledger.log.head

        async def late_head() -> int:
            looking.set()
            await held.wait()
            return await real()

        ledger.log.head = late_head  # type: ignore[method-assign]
        await looking.wait()
        await other.append("r", [Completed()])
        prune(path, "r")
        held.set()
        await projector.caught_up()
        assert list(projector.active()) == []


def prune(path: Path, run_id: str) -> None:
    """As pruning leaves a run: its head, without its events."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (number,) = connection.execute("SELECT number FROM run_entry WHERE run_id = ?", (run_id,)).fetchone()
        connection.execute("UPDATE event SET body = NULL WHERE run = ?", (number,))
        connection.execute("UPDATE run_entry SET pruned = '' WHERE number = ?", (number,))


def forget(path: Path, where: str = "true") -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"DELETE FROM document WHERE {where}")


# ── the barrier ─────────────────────────────────────────────────────────────────────────────────────────


def ask_with_patience(ledger: Ledger, head: Callable[[], Awaitable[int]]) -> None:
    """As where a look has to wait: a glance says nothing, and ``head`` is asked."""
    ledger.log.glance = lambda: None  # type: ignore[method-assign]
    ledger.log.head = head  # type: ignore[method-assign, assignment]


async def test_callers_at_one_time_share_one_look_that_began_after_they_came(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        looks = 0
        gate = asyncio.Event()
        real = ledger.log.head

        async def slow_head() -> int:
            nonlocal looks
            looks += 1
            await gate.wait()
            return await real()

        ask_with_patience(ledger, slow_head)
        ended: list[int] = []

        async def call(number: int) -> None:
            await projector.caught_up()
            ended.append(number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, 1)
            await until(lambda: looks == 1)
            for number in range(100):
                tasks.start_soon(call, number)
            await until(lambda: len(projector._callers) >= 100)
            assert looks == 1, "a look began while another was under way"
            gate.set()
        assert len(ended) == 101
        assert looks <= 3


async def test_a_caller_that_comes_during_a_look_is_not_answered_by_it(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, projector), Ledger.open(path) as other:
        real = ledger.log.head
        stale: list[int] = []
        go, looked = asyncio.Event(), asyncio.Event()

        async def head_of_before() -> int:
            found = await real()
            if not go.is_set():
                stale.append(found)
                looked.set()
                await go.wait()
            return found

        ask_with_patience(ledger, head_of_before)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(projector.caught_up)
            await looked.wait()
            await add_run(other, "r", Ticked(done=3))
            asyncio.get_running_loop().call_soon(go.set)
            found = await projector.snapshot("r")
        assert found is not None
        assert found.done == 3
        assert stale


async def test_a_cancelled_caller_leaves_the_others_alone(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        go, real = asyncio.Event(), ledger.log.head

        async def held_head() -> int:
            await go.wait()
            return await real()

        ask_with_patience(ledger, held_head)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(projector.caught_up)
            with anyio.move_on_after(0.05) as scope:
                await projector.caught_up()
            go.set()
        assert scope.cancelled_caught


async def test_nobody_waits_for_a_projector_that_is_closed(ledger: Ledger) -> None:
    errors: list[Exception] = []

    async def wait(projector: Projector) -> None:
        try:
            await projector.caught_up()
        except Closed as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        async with Projector.open(ledger) as projector:
            real, held, looking = ledger.log.head, asyncio.Event(), asyncio.Event()

            async def never() -> int:
                looking.set()
                await held.wait()
                return await real()

            ask_with_patience(ledger, never)
            tasks.start_soon(wait, projector)
            await looking.wait()
            tasks.start_soon(wait, projector)
            await until(lambda: bool(projector._callers))
        ask_with_patience(ledger, real)
    assert len(errors) == 2
    with pytest.raises(Closed):
        await projector.caught_up()


async def test_a_log_that_cannot_be_read_is_said_to_whoever_asks_and_recovers(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        await add_run(ledger, "r", Ticked(done=1))
        real = ledger.log.head

        async def broken() -> int:
            raise Unavailable("the disk is gone")

        ask_with_patience(ledger, broken)
        for _ in range(2):
            with pytest.raises(Unavailable, match="the disk is gone"):
                await projector.snapshot("r")
        ask_with_patience(ledger, real)
        assert await projector.snapshot("r") is not None


async def test_an_event_that_is_none_stops_the_fold_aloud_and_not_the_projector(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (_, projector), Ledger.open(path) as other:
        await add_run(other, "r", Ticked(done=1))
        await projector.caught_up()
        with caplog.at_level(logging.CRITICAL, "progress_ledger.projections"):
            held = other.log
            await other.append("r", [Ticked(done=2)])
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                (body,) = connection.execute("SELECT body FROM event WHERE position = 3").fetchone()
                connection.execute("UPDATE event SET body = 'no event' WHERE position = 3")
                if projector.position < 3:
                    with pytest.raises(Unavailable, match="position 2"):
                        await projector.snapshot("r")
                connection.execute("UPDATE event SET body = ? WHERE position = 3", (body,))
        assert await held.head() == 3
        found = await projector.snapshot("r")
        assert found is not None
        assert found.done == 2


# ── left and opened again ───────────────────────────────────────────────────────────────────────────────


async def history(ledger: Ledger, runs: int, *, ticks: int = 3) -> None:
    """Runs of two kinds in every state of their lives."""
    for number in range(runs):
        events: list[Payload] = [StageChanged(stage="a")]
        events += [Ticked(done=done, counts={"ok": done}) for done in range(1, ticks)]
        end: Payload | None = (
            Completed(result={"n": 10**30}),
            Failed(error="E"),
            TotalChanged(total=9),
            None,
        )[number % 4]
        if end is not None:
            events.append(end)
        await add_run(
            ledger, f"run-{number}", *events, kind=f"k{number % 2}", stages=[Stage(name="a", total=ticks)]
        )


async def test_states_after_a_start_are_those_of_a_fresh_fold(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, projector):
        await history(ledger, 40)
    async with Ledger.open(path) as ledger:
        assert await ledger.log.checkpoint(SPACE) == await ledger.log.head()
        for number in range(2, 40, 4):
            await ledger.append(f"run-{number}", [Ticked(done=2)])
        await add_run(ledger, "late", Completed())
    async with opened(path) as (ledger, projector):
        assert projector.position == await ledger.log.head()
        await assert_like_a_fresh_fold(ledger, projector)


async def test_a_start_folds_only_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, _):
        await history(ledger, 20)
    async with Ledger.open(path) as ledger:
        await add_run(ledger, "late", Ticked(done=1))
        read: list[int] = []
        real = ledger.log.scan

        async def counted(after: int, *, through: int, limit: int, visit: Visit) -> None:
            def count(page: Sequence[tuple[int, bytes | None]]) -> bool:
                read.append(len(page))
                return visit(page)

            await real(after, through=through, limit=limit, visit=count)

        ledger.log.scan = counted  # type: ignore[method-assign]
        async with Projector.open(ledger) as projector:
            assert sum(read) == 2
            await assert_like_a_fresh_fold(ledger, projector)


@pytest.mark.parametrize(
    "lost", ["space = 'run.1'", "space = 'run.1' AND position % 2", "space LIKE 'mark%'", "true"]
)
async def test_lost_states_are_folded_again(tmp_path: Path, lost: str) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, _):
        await history(ledger, 12)
    wanted: dict[str, RunState]
    forget(path, lost)
    async with opened(path) as (ledger, projector):
        wanted = await fresh_fold(ledger.log)
        found = await projector.states(list(wanted))
        assert {run_id: bare(state) for run_id, state in found.items()} == {
            run_id: bare(state) for run_id, state in wanted.items()
        }
        for number in range(2, 12, 4):
            await ledger.append(f"run-{number}", [Ticked(done=2)])
        wanted = await fresh_fold(ledger.log)
        assert {state.run_id: bare(state) for state in projector.active()} == {
            run_id: bare(state) for run_id, state in wanted.items() if state.finished_at is None
        }


def bare(state: RunState) -> tuple[object, ...]:
    """A state without what other runs' history told it, which may be lost with the histories."""
    return (state.status, state.version, state.position, state.done, state.counts, state.total, state.result)


async def test_states_that_cannot_be_read_or_lie_behind_are_folded_again(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, _):
        await history(ledger, 12)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows = connection.execute("SELECT key, value FROM document WHERE space = 'run.1'").fetchall()
        for number, (key, value) in enumerate(rows):
            wrong = (b"", b"{", b"\xc1\x00", value[:-3], b'{"run_id":"somebody"}')[number % 5]
            connection.execute(
                "UPDATE document SET value = ? WHERE space = 'run.1' AND key = ?", (wrong, key)
            )
    async with opened(path) as (ledger, projector):
        await assert_like_a_fresh_fold(ledger, projector)


async def test_a_state_that_missed_events_is_not_folded_on(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, _):
        await add_run(ledger, "r", Ticked(advance=1), total=100)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        old = connection.execute("SELECT * FROM document WHERE space = 'run.1'").fetchall()
    async with opened(path) as (ledger, _):
        await ledger.append("r", [Ticked(advance=1)] * 5)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM document WHERE space = 'run.1'")
        connection.executemany("INSERT INTO document VALUES (?, ?, ?, ?)", old)
    async with opened(path) as (ledger, projector):
        await assert_like_a_fresh_fold(ledger, projector)
        await ledger.append("r", [Ticked(advance=1)])
        await assert_like_a_fresh_fold(ledger, projector)


async def test_killed_at_any_moment_it_comes_back_to_the_states_of_a_fresh_fold(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    for prefix, runs in (("one", 3), ("two", 30)):
        command = [sys.executable, "-m", "tests.projections.second", "fold", str(path), prefix]
        process = started_process(command)
        try:
            assert process.stdout is not None
            while process.stdout.readline().strip() not in (str(runs), ""):
                pass
        finally:
            process.kill()
            process.communicate()
        async with opened(path) as (ledger, projector):
            assert projector.position == await ledger.log.head() > 40 * runs
            await assert_like_a_fresh_fold(ledger, projector)


async def test_a_ledger_that_cannot_be_written_is_folded_and_nothing_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    monkeypatch.setattr(saver_module, "UNKEPT", 4)
    monkeypatch.setattr(saver_module, "SAVE_SECONDS", 0.02)
    async with Ledger.open(path) as writing:
        await history(writing, 40)
        with caplog.at_level(logging.CRITICAL, "progress_ledger.projections"):
            async with opened(path, read_only=True) as (ledger, projector):
                await assert_like_a_fresh_fold(ledger, projector)
                await add_run(writing, "new", Ticked(done=1))
                assert (await projector.states(["new"]))["new"].done == 1
                assert await projector.rebuild() == projector.position
                await assert_like_a_fresh_fold(ledger, projector)
        assert await writing.log.checkpoint(SPACE) == 0


# ── bounded memory ──────────────────────────────────────────────────────────────────────────────────────


async def test_ended_runs_leave_the_memory_and_come_back_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    monkeypatch.setattr("progress_ledger.projections.states.ENDED_KEPT", 5)
    monkeypatch.setattr(saver_module, "UNKEPT", 5)
    async with opened(path) as (ledger, projector):
        for number in range(60):
            await add_run(ledger, f"r{number}", Completed(result=number))
        await until(lambda: projector.statistics.runs <= 12)
        run_ids = [f"r{number}" for number in range(60)]
        found = await projector.states(run_ids)
        assert [found[run_id].result for run_id in run_ids] == list(range(60))
        assert projector.statistics.runs <= 12


async def test_runs_asked_for_together_are_all_answered_however_few_may_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.projections.states.ENDED_KEPT", 1)
    async with opened(tmp_path / "log.db") as (ledger, projector):
        for number in range(10):
            await add_run(ledger, f"r{number}", Completed())
        await projector._saver.save(projector._states)
        assert len(await projector.snapshots([f"r{number}" for number in range(10)])) == 10


async def test_a_pruned_run_keeps_the_state_it_had(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, projector):
        await add_run(
            ledger,
            "r",
            Ticked(done=2, counts={"ok": 2}),
            Completed(message="fine"),
            total=2,
            labels={"a": "b"},
        )
        before = await projector.snapshot("r", now=2e9)
    prune(path, "r")
    async with opened(path) as (ledger, projector):
        assert await projector.snapshot("r", now=2e9) == before
        with pytest.raises(Pruned):
            await projector.snapshot_at("r", version=1)
        await projector.rebuild()
        assert await projector.snapshot("r", now=2e9) == before
    forget(path)
    async with opened(path) as (ledger, projector):
        found = await projector.snapshot("r")
        assert found is not None
        assert (found.kind, found.status, found.version, found.labels) == ("k", "completed", 3, {"a": "b"})


# ── rebuild ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_rebuild_gives_the_states_of_a_fresh_fold(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        assert await projector.rebuild() == 0
        await history(ledger, 40)
        for state in projector.active():
            state.done = 12_345
        assert await projector.rebuild() == await ledger.log.head()
        await assert_like_a_fresh_fold(ledger, projector)
        await ledger.append("run-2", [Ticked(done=3)])
        await assert_like_a_fresh_fold(ledger, projector)


async def test_nothing_committed_during_a_rebuild_is_lost_and_the_old_view_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.projections.apart.PIECE", 7)
    monkeypatch.setattr(saver_module, "UNKEPT", 5)
    monkeypatch.setattr(saver_module, "SAVE_SECONDS", 0.02)
    monkeypatch.setattr("progress_ledger.projections.states.ENDED_KEPT", 3)
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, projector), Ledger.open(path) as other:
        await history(ledger, 60)
        listener = Listener()
        projector.follow(listener)
        began = projector.position
        done = 2
        async with anyio.create_task_group() as tasks:
            running = True

            async def rebuild() -> None:
                nonlocal running
                for _ in range(3):
                    await projector.rebuild()
                running = False

            tasks.start_soon(rebuild)
            while running:
                done += 1
                await (ledger, other)[done % 2].append("run-3", [Ticked(done=done)])
                await add_run(other, f"new-{done}", Completed())
                found = await projector.states(["run-3", f"new-{done}", "run-0"])
                assert found["run-3"].done == done
                assert found[f"new-{done}"].status == "completed"
                assert found["run-0"].status == "completed"
        assert done > 3
        await assert_like_a_fresh_fold(ledger, projector)
        assert listener.positions == list(range(began + 1, projector.position + 1))
    async with opened(path) as (ledger, projector):
        await assert_like_a_fresh_fold(ledger, projector)


async def test_a_rebuild_mends_states_that_were_kept_wrong(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with opened(path) as (ledger, projector):
        await history(ledger, 8)
        for run_id in ("run-0", "run-2"):
            (await projector.states([run_id]))[run_id].counts["ok"] = 77
    async with opened(path) as (ledger, projector):
        assert (await projector.states(["run-0"]))["run-0"].counts == {"ok": 77}
        await projector.rebuild()
        await assert_like_a_fresh_fold(ledger, projector)
    async with opened(path) as (ledger, projector):
        await assert_like_a_fresh_fold(ledger, projector)


# ── the past ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_is_shown_as_it_was_at_a_version_a_position_and_a_time(tmp_path: Path) -> None:
    now = 1_795_000_000.0
    async with opened(tmp_path / "log.db", clock=lambda: now) as (ledger, projector):
        await add_run(ledger, "other")
        await add_run(ledger, "r", total=10)
        for done in range(1, 6):
            now += 10.0
            await ledger.append("r", [Ticked(done=done)])
        assert [(await projector.snapshot_at("r", version=version)).done for version in range(1, 7)] == list(
            range(6)
        )
        assert (await projector.snapshot_at("r", position=4)).done == 2
        assert (await projector.snapshot_at("r", time="2026-11-18T12:07:05+01:00")).done == 2
        seen = await projector.snapshot_at("r", version=4)
        assert (seen.elapsed_seconds, seen.updated_at) == (30.0, "2026-11-18T11:07:10.000000Z")
        await add_run(ledger, "later")
        now += 190.0
        await ledger.append("other", [Ticked(done=1)])
        seen = await projector.snapshot_at("r", position=8)
        assert (seen.version, seen.elapsed_seconds, seen.stalled) == (6, 50.0, False)
        for position in (9, 10**17):
            seen = await projector.snapshot_at("r", position=position)
            assert (seen.version, seen.elapsed_seconds, seen.stalled) == (6, 240.0, True)
        beyond: list[dict[str, Any]] = [{"position": 1}, {"version": 0}, {"time": "2026-11-18T11:06:39Z"}]
        for missing in beyond:
            with pytest.raises(RunNotFound):
                await projector.snapshot_at("r", **missing)
        with pytest.raises(RunNotFound):
            await projector.snapshot_at("nobody", version=1)


async def test_what_was_shown_live_is_what_the_past_shows(ledger: Ledger) -> None:
    shown: dict[tuple[str, int], object] = {}

    class Watching(Listener):
        def folded(self, recorded: Recorded, state: RunState) -> None:
            shown[state.run_id, state.version] = view(state, ledger.clock())

    async with Projector.open(ledger) as projector:
        moment = ledger.clock()
        ledger.clock = lambda: moment
        projector.follow(Watching())
        await history(ledger, 16)
        assert shown
        for run_id, version in shown:
            state = await projector.state_at(run_id, version=version)
            assert view(state, moment) == shown[run_id, version]


async def test_an_active_run_is_found_by_its_head_and_its_state(ledger: Ledger) -> None:
    async with Projector.open(ledger) as projector:
        await history(ledger, 8)
        heads = (await ledger.log.runs(RunFilter(), limit=100)).runs
        states = await projector.states([head.run_id for head in heads])
        for head in heads:
            state = states[head.run_id]
            assert (state.status, state.version, state.position, state.first) == (
                head.status,
                head.version,
                head.last,
                head.first,
            )
