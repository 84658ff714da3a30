"""What follows the fold."""

from __future__ import annotations

import pytest

from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Recorded
from progress_ledger.projections import Follower, Projector, RunState

pytestmark = pytest.mark.anyio


class Sum:
    """A view of its own: what all runs have done together."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.shown = 0

    def folded(self, recorded: Recorded, state: RunState) -> None:
        self.done[state.run_id] = state.done

    def settled(self) -> None:
        self.shown = sum(self.done.values())


async def test_anybody_may_build_a_view_of_their_own_beside_the_runs() -> None:
    view = Sum()
    follower: Follower = view
    async with Ledger.open(":memory:") as ledger, Projector.open(ledger) as projector:
        projector.follow(follower)
        for run_id in "ab":
            await ledger.create(RunSpec(kind="k"), run_id=run_id)
            await ledger.append(run_id, [Ticked(done=1), Ticked(done=3)])
        assert view.shown == 6
