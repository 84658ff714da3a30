"""A fold that nobody looks at yet: in pieces, up to a mark, and back where a run is missing."""

from __future__ import annotations

import pytest

from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.apart import fold_apart
from progress_ledger.projections.states import States

pytestmark = pytest.mark.anyio


async def test_it_goes_on_in_pieces_and_never_beyond_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("progress_ledger.projections.apart.PIECE", 4)
    states = States()
    reached: list[int] = []
    async with Ledger.open(":memory:") as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        await ledger.append("r", [Ticked(done=done) for done in range(1, 20)])
        while states.position < 10:
            assert not await fold_apart(ledger.log, states, 10)
            reached.append(states.position)
    assert reached == [4, 8, 10]
    state = states.get("r")
    assert state is not None
    assert state.done == 9


async def test_what_needs_a_run_that_is_not_here_is_handed_back() -> None:
    states = States(1)
    async with Ledger.open(":memory:") as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="before")
        await ledger.create(RunSpec(kind="k"), run_id="r")
        await ledger.append("before", [Ticked(done=1)])
        await ledger.append("r", [Ticked(done=1)])
        rest = await fold_apart(ledger.log, states, 4)
    assert [position for position, _ in rest] == [3, 4]
    assert states.position == 2


async def test_where_the_newest_positions_are_gone_it_is_at_the_mark_all_the_same() -> None:
    states = States(5)
    async with Ledger.open(":memory:") as ledger:
        assert not await fold_apart(ledger.log, states, 9)
    assert states.position == 9
