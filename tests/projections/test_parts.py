"""A fold that was shared out gives what one process folds, and nothing is lost where it cannot be shared."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from progress_ledger.ledger.audit.prune import Retention, prune
from progress_ledger.ledger.events import Completed, Failed, Payload, RunSpec, Stage, StageChanged, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Document, EventLog
from progress_ledger.projections import Projector, parts
from progress_ledger.projections.part import Folded
from progress_ledger.projections.parts import fold_from_zero, share_out
from progress_ledger.projections.states import Ends, States
from progress_ledger.projections.store import state_of
from tests.ledger.histories import tamper

pytestmark = pytest.mark.anyio

_NONE: Ends = {}


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """What went out of the processes to be kept."""

    def __init__(self) -> None:
        self.ended: dict[str, Document] = {}

    async def __call__(self, ended: Sequence[Document], marks: Sequence[Document]) -> None:
        self.ended |= {document.key: document for document in ended}


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few events are enough, and there are three processors."""
    monkeypatch.setattr(parts, "PART_EVENTS", 50)
    monkeypatch.setattr(parts, "_processors", lambda: 3)


async def write(path: Path, *, kinds: int = 5, runs: int = 40) -> None:
    """Runs of several kinds beside each other, parents and children among them; some are left open."""
    draw = random.Random(7)
    clock = Clock()
    async with Ledger.open(path, durability="process", clock=clock) as ledger:
        going: dict[str, int] = {}
        for number in range(runs):
            run_id = f"run-{number}"
            parent = draw.choice([*going, None])
            await ledger.create(
                RunSpec(
                    kind=f"kind-{number % kinds}", parent=parent, stages=[Stage(name="a"), Stage(name="b")]
                ),
                run_id=run_id,
            )
            await ledger.append(run_id, [StageChanged(stage="a", total=20)])
            going[run_id] = 0
            for _ in range(30):
                clock.now += draw.choice([0.5, 2.0, 90.0])
                name = draw.choice(list(going))
                going[name] += 1
                done = going[name]
                events: list[Payload] = [Ticked(done=done, counts={"ok": done})]
                if done == 20:
                    events.append(StageChanged(stage="b", total=20))
                if done > 32:
                    del going[name]
                    events = [Completed(result={"n": number}) if number % 4 else Failed(error="boom")]
                await ledger.append(name, events)


async def folded_here(log: EventLog, gone: Ends = _NONE) -> States:
    states = States()
    states.fold_whole(await log.read(0, limit=1_000_000), gone=gone)
    return states


async def assert_alike(log: EventLog, gone: Ends = _NONE) -> None:
    one, kept = await folded_here(log, gone), Kept()
    several = await fold_from_zero(log, await log.head(), keep=kept, gone=gone)
    assert several.position == one.position > 0
    assert several.active == one.active
    assert {key: state_of(document) for key, document in kept.ended.items()} == {
        state.run_id: state for state in one.ended()
    }
    assert several.histories.kinds() == one.histories.kinds()
    for kind in one.histories.kinds():
        assert several.histories.get(kind) == one.histories.get(kind)
    parents = [state for state in one.active.values() if state.parent in one.active]
    assert parents
    for state in one.active.values():
        now = 1_800_100_000.0
        assert several.family.view(state, now, several.active) == one.family.view(state, now, one.active)


@pytest.mark.usefixtures("shared")
async def test_it_is_what_one_process_folds(tmp_path: Path) -> None:
    await write(tmp_path / "a.db")
    async with Ledger.open(tmp_path / "a.db", sweep=False) as ledger:
        await assert_alike(ledger.log)


@pytest.mark.usefixtures("shared")
async def test_pruned_runs_count_in_their_kinds_histories(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await write(path)
    async with Ledger.open(path, sweep=False, clock=lambda: 1_900_000_000.0) as ledger:
        async with Projector.open(ledger) as projector:
            gone = projector.histories.ends()
            before = {kind: projector.histories.get(kind) for kind in projector.histories.kinds()}
        assert (await prune(ledger, Retention(older_than=60))).runs
        await assert_alike(ledger.log, gone)
        async with Projector.open(ledger) as projector:
            await projector.rebuild()
            for kind, history in before.items():
                again = projector.histories.get(kind)
                assert history is not None
                assert again is not None
                assert again.last == history.last


@pytest.mark.usefixtures("shared")
async def test_a_start_and_a_rebuild_answer_like_those_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    await write(path)
    run_ids = [f"run-{number}" for number in range(40)]
    taken: list[int] = []
    shared_out = parts.share_out

    def noted(events: dict[str, int], most: int) -> list[list[str]]:
        shares = shared_out(events, most)
        taken.append(len(shares))
        return shares

    async with Ledger.open(path, sweep=False) as ledger:
        one = await folded_here(ledger.log)
        wanted = {state.run_id: state for state in one.ended()} | one.active
        monkeypatch.setattr(parts, "share_out", noted)
        async with Projector.open(ledger) as projector:
            assert await projector.states(run_ids) == {run_id: wanted[run_id] for run_id in run_ids}
            await projector.rebuild()
            assert await projector.states(run_ids) == {run_id: wanted[run_id] for run_id in run_ids}
        assert taken == [3, 3]
        async with Projector.open(ledger) as projector:  # all of it was kept
            assert await projector.states(run_ids) == {run_id: wanted[run_id] for run_id in run_ids}
        assert taken == [3, 3]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("program", ["/nowhere", "/bin/false", "/bin/true", "/bin/ls"])
async def test_where_no_process_can_do_it_it_is_folded_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, program: str
) -> None:
    path = tmp_path / "a.db"
    await write(path, runs=20)
    (tmp_path / "python3").symlink_to(program)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    async with Ledger.open(path, sweep=False) as ledger, Projector.open(ledger) as projector:
        one = await folded_here(ledger.log)
        assert {state.run_id: state for state in projector.active()} == one.active
        assert projector.position == one.position
    assert "could not be shared out" in caplog.text


@pytest.mark.usefixtures("shared")
async def test_what_cannot_be_taken_over_is_folded_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    await write(path, runs=20)

    async def taken(stream: object, keep: object) -> Folded:
        return Folded([], [], whole=True, active=[Document("run-0", 1, b"no state")])

    monkeypatch.setattr(parts, "_take", taken)
    async with Ledger.open(path, sweep=False) as ledger, Projector.open(ledger) as projector:
        one = await folded_here(ledger.log)
        assert {state.run_id: state for state in projector.active()} == one.active


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("executable", ["program", "", None])
async def test_a_program_with_python_in_it_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    await write(tmp_path / "a.db", runs=20)
    started = tmp_path / "started"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program) if executable else executable)
    async with Ledger.open(tmp_path / "a.db", sweep=False) as ledger:
        states = await fold_from_zero(ledger.log, await ledger.log.head(), keep=Kept())
    assert states.position == 0
    assert not started.exists()


@pytest.mark.usefixtures("shared")
async def test_cancelled_it_leaves_no_process(tmp_path: Path) -> None:
    await write(tmp_path / "a.db")
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("needs Linux's list of a process's children")
    before = children.read_text(encoding="ascii")
    async with Ledger.open(tmp_path / "a.db", sweep=False) as ledger:
        with anyio.CancelScope() as scope:

            async def keep(ended: Sequence[Document], marks: Sequence[Document]) -> None:
                assert children.read_text(encoding="ascii") != before
                scope.cancel()
                await anyio.sleep_forever()

            await fold_from_zero(ledger.log, await ledger.log.head(), keep=keep)
    assert scope.cancelled_caught
    assert children.read_text(encoding="ascii") == before


@pytest.mark.usefixtures("shared")
async def test_one_kind_and_few_events_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anyio, "open_process", None)
    await write(tmp_path / "one.db", kinds=1, runs=20)
    for path in (tmp_path / "one.db", tmp_path / "none.db", ":memory:"):
        async with Ledger.open(path, sweep=False) as ledger:
            states = await fold_from_zero(ledger.log, await ledger.log.head(), keep=Kept())
            assert (states.position, len(states)) == (0, 0)


@pytest.mark.usefixtures("shared")
async def test_damage_is_said_by_the_fold_here(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await write(path)
    tamper(path, "UPDATE event SET body = '{' WHERE position = 100")
    async with Ledger.open(path, sweep=False) as ledger:
        states = await fold_from_zero(ledger.log, await ledger.log.head(), keep=Kept())
        assert states.position == 0


def test_shares_are_about_even_and_hold_every_kind_once() -> None:
    events = {"a": 50, "b": 30, "c": 20, "d": 10, "e": 0}
    assert share_out(events, 2) == [["a", "d"], ["b", "c", "e"]]
    for most in range(1, 9):
        shares = share_out(events, most)
        assert len(shares) <= most
        assert sorted(kind for share in shares for kind in share) == sorted(events)


def test_kinds_are_not_shared_out_where_one_has_nearly_all_or_they_are_too_many() -> None:
    assert share_out({"a": 900, "b": 100}, 4) == [["a", "b"]]
    assert share_out({}, 4) == []
    assert share_out({"a": 1, "b": 1}, 0) == [["a", "b"]]
    assert len(share_out({str(number): 1 for number in range(1_000)}, 2)) == 2
    assert len(share_out({str(number): 1 for number in range(1_001)}, 2)) == 1
