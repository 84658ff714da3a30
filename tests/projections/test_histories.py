"""Histories are a function of the log, and outlive a restart."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from progress_ledger.ledger.events import Completed, Heartbeat, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections import histories
from progress_ledger.projections.projector import Projector

from .courses import BEGIN, Fold

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> float:
        return self.now


async def _runs(ledger: Ledger, clock: Clock, names: list[str], *, seed: int) -> None:
    rng = random.Random(seed)
    for name in names:
        await ledger.create(RunSpec(kind="job", total=20), run_id=name)
        for done in range(1, 21):
            clock.now += rng.uniform(0.5, 2.0)
            await ledger.append(name, [Ticked(done=done)])
        await ledger.append(name, [Completed()])


async def test_a_restart_keeps_histories_and_what_each_run_was_told(tmp_path: Path) -> None:
    clock = Clock()
    async with Ledger.open(tmp_path / "a.db", durability="process", clock=clock) as ledger:
        async with Projector.open(ledger) as projector:
            await _runs(ledger, clock, ["a", "b", "c"], seed=1)
            await projector.caught_up()
            before = projector.histories.get("job")
            state = await projector.state("c")
        async with Projector.open(ledger) as projector:
            assert projector.histories.get("job") == before
            again = await projector.state("c")
    assert state is not None
    assert again is not None
    assert again.prior == state.prior
    assert again.course == state.course


async def test_a_rebuild_from_zero_learns_the_same(tmp_path: Path) -> None:
    clock = Clock()
    async with (
        Ledger.open(tmp_path / "a.db", durability="process", clock=clock) as ledger,
        Projector.open(ledger) as projector,
    ):
        await _runs(ledger, clock, ["a", "b", "c"], seed=2)
        await projector.caught_up()
        before = projector.histories.get("job")
        state = await projector.state("c")
        await projector.rebuild()
        assert projector.histories.get("job") == before
        assert (await projector.state("c")) == state


async def test_a_run_as_it_was_is_shown_with_the_history_of_its_own_beginning(tmp_path: Path) -> None:
    clock = Clock()
    async with (
        Ledger.open(tmp_path / "a.db", durability="process", clock=clock) as ledger,
        Projector.open(ledger) as projector,
    ):
        await _runs(ledger, clock, ["a", "b"], seed=3)
        await ledger.create(RunSpec(kind="job", total=20), run_id="c")
        clock.now += 3
        await ledger.append("c", [Ticked(done=5)])
        shown = await projector.snapshot("c")
        await _runs(ledger, clock, ["d", "e"], seed=4)
        await ledger.append("c", [Completed()])
        was = await projector.snapshot_at("c", version=2)
    assert shown is not None
    assert shown.eta_basis == "history:2"
    assert (was.eta_seconds, was.eta_basis) == (shown.eta_seconds, shown.eta_basis)


def test_only_so_many_kinds_have_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "MAX_KINDS", 3)
    fold = Fold()
    for number in range(5):
        fold.start(f"r{number}", kind=f"k{number}", total=1)
        fold.now += 1
        fold.tell(f"r{number}", Ticked(done=1))
        fold.tell(f"r{number}", Completed())
    assert fold.histories.kinds() == ["k2", "k3", "k4"]


def test_a_pruned_run_is_remembered_by_its_summary() -> None:
    fold = Fold()
    fold.whole("a", 10)
    (kept,) = fold.histories.ends().values()
    fresh = histories.Histories()
    fresh.pruned(*kept)
    again = fresh.get("job")
    assert again is not None
    assert again.last == [kept[1]]


def test_what_is_no_first_event_has_no_prior() -> None:
    fold = Fold()
    fold.whole("a", 10)
    fold.start("b", total=1)
    state = fold.tell("b", Heartbeat())
    assert state.prior is not None
    assert state.prior.runs == 1
