"""What is read back from the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from progress_ledger.api.streams.framing import Mode, encode_event
from progress_ledger.api.streams.replay import last_frame, missed_by_filter, missed_by_run
from progress_ledger.api.streams.tail import Entry
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Recorded, RunFilter
from progress_ledger.projections import Projector, RunState

pytestmark = pytest.mark.anyio


class Live:
    """The frames as they were made when the events were folded."""

    def __init__(self, epoch: str, mode: Mode) -> None:
        self.entries: list[Entry] = []
        self._epoch = epoch
        self._mode: Mode = mode

    def folded(self, recorded: Recorded, state: RunState) -> None:
        self.entries.append(encode_event(recorded, state, epoch=self._epoch, mode=self._mode))

    def settled(self) -> None:
        return


@asynccontextmanager
async def _recorded(
    path: Path, mode: Mode = "change"
) -> AsyncIterator[tuple[Ledger, Projector, list[Entry]]]:
    async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger) as projector:
        live = Live(ledger.epoch, mode)
        stop = projector.follow(live)
        # A history first: what it says at a run's beginning is in every frame of that run.
        for number in range(3):
            await ledger.create(RunSpec(kind="job", total=4), run_id=f"past-{number}")
            await ledger.append(f"past-{number}", [Ticked(done=4), Completed()])
        await ledger.create(RunSpec(kind="job", total=300), run_id="a")
        await ledger.create(RunSpec(kind="other"), run_id="b")
        for done in range(1, 301):
            await ledger.append("a", [Ticked(done=done, counts={"odd": done % 2})])
            if done % 3 == 0:
                await ledger.append("b", [Ticked(advance=1)])
        stop()
        yield ledger, projector, live.entries


@pytest.mark.parametrize("mode", ["change", "full"])
@pytest.mark.parametrize("back", [0, 1, 63, 64, 65, 250, 301])
async def test_a_runs_events_come_back_byte_for_byte(tmp_path: Path, mode: Mode, back: int) -> None:
    async with _recorded(tmp_path / "a.db", mode) as (ledger, projector, live):
        mine = [entry for entry in live if entry.run_id == "a"]
        state = await projector.state("a")
        assert state is not None
        after = mine[len(mine) - back - 1].position if back < len(mine) else 0
        missed = await missed_by_run(
            ledger.log, projector, state, after=after, through=projector.position, limit=1000, mode=mode
        )
        assert missed == mine[len(mine) - back :]


async def test_more_than_the_limit_is_not_read_back(tmp_path: Path) -> None:
    async with _recorded(tmp_path / "a.db") as (ledger, projector, live):
        state = await projector.state("a")
        assert state is not None
        mine = [entry.position for entry in live if entry.run_id == "a"]
        for limit, after, expected in ((10, mine[-11], 10), (10, mine[-12], None), (100, mine[-102], None)):
            missed = await missed_by_run(
                ledger.log,
                projector,
                state,
                after=after,
                through=projector.position,
                limit=limit,
                mode="change",
            )
            assert (None if missed is None else len(missed)) == expected
        where = RunFilter(kind="other")
        others = [entry.position for entry in live if entry.run_id == "b"]
        for after, expected in ((others[-11], 10), (others[-12], None)):
            missed = await missed_by_filter(
                ledger.log, projector, where, after=after, through=projector.position, limit=10, mode="change"
            )
            assert (None if missed is None else len(missed)) == expected


@pytest.mark.parametrize("scanned", [50_000, 20])
async def test_a_filters_events_come_back_in_order_whatever_lies_between(
    tmp_path: Path, scanned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.api.streams.replay._SCANNED", scanned)
    async with _recorded(tmp_path / "a.db") as (ledger, projector, live):
        for where, kinds in (
            (RunFilter(), {"a", "b"}),
            (RunFilter(kind="other"), {"b"}),
            (RunFilter(run_ids=frozenset("ab")), {"a", "b"}),
        ):
            after = live[-200].position
            missed = await missed_by_filter(
                ledger.log,
                projector,
                where,
                after=after,
                through=projector.position,
                limit=1000,
                mode="change",
            )
            assert missed == [entry for entry in live if entry.position > after and entry.run_id in kinds]


async def test_what_came_after_the_place_where_the_tail_goes_on_is_left_to_the_tail(tmp_path: Path) -> None:
    async with _recorded(tmp_path / "a.db") as (ledger, projector, live):
        through = live[-5].position
        missed = await missed_by_filter(
            ledger.log,
            projector,
            RunFilter(),
            after=live[-9].position,
            through=through,
            limit=9,
            mode="change",
        )
        assert missed == live[-8:-4]


async def test_the_last_frame_of_an_ended_run_is_as_it_was_sent(tmp_path: Path) -> None:
    async with _recorded(tmp_path / "a.db") as (ledger, projector, live):
        state = await projector.state("past-1")
        assert state is not None
        entry = await last_frame(ledger.log, state, mode="change")
        assert entry == next(one for one in live if one.run_id == "past-1" and one.final)
