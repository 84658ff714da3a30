"""What follows the fold."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Recorded
from progress_ledger.projections import Follower, Projector, RunState
from progress_ledger.projections.projection import Followers, listens

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


class Sleeper(Sum):
    """Listens only at times."""

    idle = True


async def test_who_is_idle_need_not_be_told_what_others_wrote_and_misses_nothing_afterwards(
    tmp_path: Path,
) -> None:
    path = tmp_path / "progress.db"
    view = Sleeper()
    assert not listens(view)
    assert listens(Sum())
    async with Ledger.open(path) as ledger, Projector.open(ledger) as projector:
        projector.follow(view)
        async with Ledger.open(path, sweep=False) as another:
            await another.create(RunSpec(kind="k"), run_id="r")
            await another.append("r", [Ticked(done=1)])
            state = await projector.state("r")
            assert state is not None
            assert state.done == 1
            assert view.done == {}
            view.idle = False
            await another.append("r", [Ticked(done=2)])
            await projector.caught_up()
        assert view.done == {"r": 2}


def test_there_is_somebody_to_tell_while_any_follower_listens() -> None:
    followers, sleeper = Followers(), Sleeper()
    listened = [followers.listen]
    followers.add(sleeper)
    listened.append(followers.listen)
    stop = followers.add(Sum())
    listened.append(followers.listen)
    stop()
    listened.append(followers.listen)
    sleeper.idle = False
    listened.append(followers.listen)
    assert listened == [False, False, True, False, True]
