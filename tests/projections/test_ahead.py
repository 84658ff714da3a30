"""A run is shown as of its newest event however far the fold is behind, and as the fold will show it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from progress_ledger.ledger.audit.export import export_proven, manifest_path, write_whole
from progress_ledger.ledger.audit.importing import import_bundle
from progress_ledger.ledger.events import (
    Completed,
    Noted,
    Paused,
    Payload,
    Resumed,
    RunSpec,
    Stage,
    StageChanged,
    Ticked,
)
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.export import Selection
from progress_ledger.projections import Projector, RunState
from progress_ledger.projections.ahead import MOST_CHILDREN, MOST_EVENTS, MOST_READS, Ahead
from progress_ledger.projections.states import States
from progress_ledger.projections.store import document_of, state_of
from tests.ledger.histories import fill, ledger_at
from tests.projections.test_projector import Listener, assert_like_a_fresh_fold, fresh_fold, prune

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def shared(path: Path) -> AsyncIterator[tuple[Ledger, Projector, Ledger]]:
    """A ledger that is followed, and another process's hold on the same file."""
    async with (
        Ledger.open(path, durability="process") as ledger,
        Projector.open(ledger) as projector,
        Ledger.open(path, durability="process", sweep=False) as other,
    ):
        yield ledger, projector, other


@contextmanager
def standing(projector: Projector) -> Iterator[None]:
    """The fold stands still meanwhile, as it does for a moment when much waits to be saved."""
    saver = projector._saver
    real = saver.crowded
    saver.crowded = lambda states: True  # type: ignore[method-assign]
    try:
        yield
    finally:
        saver.crowded = real  # type: ignore[method-assign]


async def backlog(other: Ledger, runs: int = 3) -> None:
    """Somebody else's runs, begun and ended."""
    for number in range(runs):
        await other.create(RunSpec(kind="their", total=3), run_id=f"their-{number}")
        await other.append(f"their-{number}", [Ticked(done=2), Completed()])


def shows_more(projector: Projector) -> bool:
    """Whether any run is shown further than the fold is."""
    return projector.ahead


async def read(projector: Projector, run_id: str) -> RunState:
    with anyio.fail_after(20):
        state = await projector.state(run_id)
    assert state is not None
    return state


# ── what is shown while the fold is behind ──────────────────────────────────────────────────────────────


async def test_a_run_that_has_not_moved_waits_for_nothing(tmp_path: Path) -> None:
    async with shared(tmp_path / "log.db") as (ledger, projector, other):
        await ledger.create(RunSpec(kind="k"), run_id="r")
        with standing(projector):
            await backlog(other)
            state = await read(projector, "r")
            assert state is projector.peek("r")
            assert projector.position < await ledger.log.head()
            assert not shows_more(projector)


async def test_what_another_process_wrote_of_a_run_is_seen_ahead_of_all_that_lies_before_it(
    tmp_path: Path,
) -> None:
    async with shared(tmp_path / "log.db") as (ledger, projector, other):
        listener = Listener()
        projector.follow(listener)
        spec = RunSpec(kind="k", total=9, stages=[Stage(name="a"), Stage(name="b")])
        await ledger.create(spec, run_id="r")
        told = list(listener.versions)
        with standing(projector):
            await backlog(other)
            for event in (
                StageChanged(stage="b", total=7),
                Ticked(advance=2, counts={"ok": 2}),
                Noted(message="x"),
            ):
                receipt = await other.append("r", [event])
                state = await read(projector, "r")
                assert state.version == receipt.receipts[0].version
                assert state == (await fresh_fold(ledger.log))["r"]
            assert shows_more(projector)
            # The fold itself knows nothing of it, and so nobody is told out of turn.
            seen = projector.peek("r")
            assert seen is not None
            assert seen.version == 1
            assert listener.versions == told
        await projector.caught_up()
        assert not shows_more(projector)
        assert projector.newest("r") is projector.peek("r")
        await assert_like_a_fresh_fold(ledger, projector)
        assert listener.positions == list(range(1, projector.position + 1))


async def test_a_producer_reads_its_own_writes_though_others_wrote_before_it(tmp_path: Path) -> None:
    async with shared(tmp_path / "log.db") as (ledger, projector, other):
        await ledger.create(RunSpec(kind="k", total=20), run_id="r")
        with standing(projector):
            await backlog(other)
            for done in range(1, 20):
                accepted = await ledger.append("r", [Ticked(done=done)])
                state = await read(projector, "r")
                assert (state.done, state.position) == (done, accepted.receipts[0].position)
            await ledger.append("r", [Completed()])
            found = await projector.snapshot("r")
            assert found is not None
            assert (found.status, found.done) == ("completed", 19)
            assert [state.run_id for state in projector.active()] == ["r"]
        await projector.caught_up()
        assert list(projector.active()) == []
        await assert_like_a_fresh_fold(ledger, projector)


async def test_a_run_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    async with shared(tmp_path / "log.db") as (_, projector, other):
        with standing(projector):
            await backlog(other)
            with anyio.fail_after(20):
                assert await projector.state("nobody") is None


async def test_a_run_that_began_in_what_is_behind_is_shown_with_the_history_before_it(tmp_path: Path) -> None:
    async with shared(tmp_path / "log.db") as (ledger, projector, other):
        await other.create(RunSpec(kind="k", total=2), run_id="first")
        await projector.caught_up()
        found: list[RunState] = []

        async def ask() -> None:
            found.append(await read(projector, "second"))

        async with anyio.create_task_group() as tasks:
            with standing(projector):
                await other.append("first", [Ticked(done=1), Completed()])
                await other.create(RunSpec(kind="k", total=2), run_id="second")
                await other.append("second", [Ticked(done=1)])
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                assert found == [], "what history says to it is known only to a fold that has come there"
        assert found == [(await fresh_fold(ledger.log))["second"]]


async def test_a_run_that_is_far_behind_itself_waits_for_the_fold(tmp_path: Path) -> None:
    async with shared(tmp_path / "log.db") as (ledger, projector, other):
        await ledger.create(RunSpec(kind="k"), run_id="r")
        await projector.caught_up()
        found: list[int] = []

        async def ask() -> None:
            found.append((await read(projector, "r")).done)

        async with anyio.create_task_group() as tasks:
            with standing(projector):
                await other.append("r", [Ticked(done=done) for done in range(1, MOST_EVENTS // 2 + 1)])
                await other.append("r", [Ticked(done=500 + done) for done in range(MOST_EVENTS // 2 + 1)])
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                assert found == []
        assert found == [500 + MOST_EVENTS // 2]


async def test_a_run_that_was_pruned_before_the_fold_came_to_its_end_is_not_shown_as_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with shared(path) as (ledger, projector, other):
        await ledger.create(RunSpec(kind="k"), run_id="r")
        found: list[str] = []

        async def ask() -> None:
            found.append((await read(projector, "r")).status)

        async with anyio.create_task_group() as tasks:
            with standing(projector):
                await other.append("r", [Ticked(done=1), Completed()])
                prune(path, "r")
                await backlog(other)
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
        assert found == ["completed"]
        assert list(projector.active()) == []


# ── families ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("change", ["moved", "ended", "begun"])
async def test_a_parent_is_shown_with_its_children_as_they_are(tmp_path: Path, change: str) -> None:
    async with shared(tmp_path / "log.db") as (ledger, projector, other):
        await ledger.create(RunSpec(kind="k"), run_id="parent")
        for name in ("x", "y"):
            await ledger.create(RunSpec(kind="part", total=1_000, parent="parent"), run_id=name)
            await ledger.append(name, [Ticked(done=1)])
        now = ledger.clock() + 10.0
        before = await projector.snapshot("parent", now=now)
        seen = []

        async def ask() -> None:
            with anyio.fail_after(20):
                seen.append(await projector.snapshot("parent", now=now))

        async with anyio.create_task_group() as tasks:
            with standing(projector):
                await backlog(other)
                if change == "moved":
                    await other.append("x", [Ticked(done=500)])
                    await other.append("y", [Ticked(done=990)])
                elif change == "ended":
                    await other.append("x", [Completed()])
                else:
                    await other.create(RunSpec(kind="part", parent="parent"), run_id="z")
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                if change != "begun":
                    with anyio.fail_after(20):
                        while not seen:  # noqa: ASYNC110 - a read tells nobody that it is over
                            await anyio.sleep(0.001)
        await projector.caught_up()
        assert seen == [await projector.snapshot("parent", now=now)]
        if change != "ended":
            assert seen != [before]


async def test_the_children_of_a_large_family_are_left_to_the_fold(tmp_path: Path) -> None:
    async with shared(tmp_path / "log.db") as (ledger, _, _):
        states = States()
        await ledger.create(RunSpec(kind="k"), run_id="parent")
        for number in range(MOST_CHILDREN):
            await ledger.create(RunSpec(kind="part", parent="parent"), run_id=f"c{number}")
        head = await ledger.log.head()
        assert await Ahead(ledger.log).reach(["parent"], states, head) == {"parent": head}


# ── bounds ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_so_many_runs_are_read_at_one_look_and_the_others_wait_for_the_fold(
    tmp_path: Path,
) -> None:
    async with shared(tmp_path / "log.db") as (ledger, projector, _):
        names = [f"r{number}" for number in range(MOST_READS + 4)]
        for name in names:
            await ledger.create(RunSpec(kind="k"), run_id=name)
        states = States()
        states.fold_page(await ledger.log.read(0, limit=100))
        for name in names:
            await ledger.append(name, [Ticked(done=1)])
        head = await ledger.log.head()
        ahead = Ahead(ledger.log)
        needed = await ahead.reach(names, states, head)
        assert sum(not position for position in needed.values()) == MOST_READS
        assert all(position <= head for position in needed.values())
        # The next look goes on with the others, and reads nothing twice.
        needed = await ahead.reach(names, states, head)
        assert not any(needed.values())
        assert len(ahead.beyond(states.position)) == len(names)
        assert ahead.beyond(projector.position) == {}, "what the fold has reached is forgotten"


# ── beside a fold that goes on ──────────────────────────────────────────────────────────────────────────


def lives(chance: random.Random) -> Iterator[Payload]:
    """What a run may say, for a good while."""
    paused = False
    for done in range(1, 10_000):
        if paused or chance.random() < 0.1:
            yield Resumed() if paused else Paused()
            paused = not paused
        elif chance.random() < 0.1:
            yield StageChanged(stage=f"s{done % 5}", total=chance.choice([None, 50]))
        else:
            yield Ticked(advance=1, counts={"n": 1}, message=f"{done}")


@pytest.mark.parametrize("seed", range(4))
async def test_every_read_beside_the_fold_shows_all_that_was_acknowledged_before_as_a_fresh_fold_would(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.projections.projector._SLICE_STEP", 3)
    monkeypatch.setattr("progress_ledger.projections.projector._SLICE_SECONDS", 0.0)
    chance = random.Random(seed)
    async with shared(tmp_path / "log.db") as (ledger, projector, other):
        listener = Listener()
        projector.follow(listener)
        for name in ("a", "b"):
            await ledger.create(RunSpec(kind="k", total=200), run_id=name)
        versions = {"a": 1, "b": 1}
        seen: list[tuple[str, RunState]] = []
        reads = 0

        async def write(by: Ledger, run_id: str) -> None:
            for event, _ in zip(lives(random.Random(f"{seed} {run_id}")), range(60), strict=False):
                if chance.random() < 0.3:
                    await backlog_of(by, chance)
                accepted = await by.append(run_id, [event])
                versions[run_id] = accepted.receipts[0].version
            done.append(run_id)

        async def backlog_of(by: Ledger, chance: random.Random) -> None:
            created = await by.create(RunSpec(kind="their"))
            await by.append(created.run_id, [Ticked(done=done) for done in range(1, chance.randrange(2, 60))])

        done: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, other, "a")
            tasks.start_soon(write, ledger, "b")
            while len(done) < 2:
                await anyio.lowlevel.checkpoint()  # a read that has nothing to wait for does not wait
                run_id = chance.choice(["a", "b"])
                acknowledged = versions[run_id]
                state = await read(projector, run_id)
                assert state.version >= acknowledged
                seen.append((run_id, held(state)))
                reads += 1
        assert reads
        for run_id, state in seen[:: max(1, len(seen) // 40)]:
            assert state == await projector.state_at(run_id, version=state.version)
        await projector.caught_up()
        await assert_like_a_fresh_fold(ledger, projector)
        assert listener.positions == list(range(1, projector.position + 1))


def held(state: RunState) -> RunState:
    """The state as it is now, whatever becomes of it."""
    copy = state_of(document_of(state))
    assert copy is not None
    return copy


async def test_a_read_during_an_import_shows_every_event_acknowledged_before(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.ndjson"
    async with ledger_at(tmp_path / "source.db") as (source, _):
        await fill(source, runs=60, ticks=20)
        assert isinstance(source.log, SQLiteLog)
        with write_whole(bundle, packed=False) as out:
            manifest = await export_proven(source.log, Selection(), out, now=1.0)
    manifest_path(bundle).write_bytes(manifest.encode())
    async with shared(tmp_path / "log.db") as (ledger, projector, other):
        await ledger.create(RunSpec(kind="k", total=10_000), run_id="r")
        imported = anyio.Event()

        async def bring() -> None:
            assert isinstance(other.log, SQLiteLog)
            report = await import_bundle(other.log, bundle)
            assert report.runs == 60
            imported.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bring)
            done = 0
            while not imported.is_set():
                done += 1
                by = ledger if done % 2 else other
                await by.append("r", [Ticked(done=done)])
                assert (await read(projector, "r")).done == done
        ended = await read(projector, "run-59")
        assert (ended.status, ended.done) == ("completed", 20)
        await assert_like_a_fresh_fold(ledger, projector)
