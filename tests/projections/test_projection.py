"""What follows the fold."""

from __future__ import annotations

import random
from pathlib import Path

import anyio
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


class Witness:
    """Notes what it is told, and what the run looked like then."""

    def __init__(self, projector: Projector) -> None:
        self.projector = projector
        self.told: list[tuple[int, str, int, int]] = []
        self.within = True

    def folded(self, recorded: Recorded, state: RunState) -> None:
        event = recorded.event
        self.told.append((event.position, event.run_id, event.version, state.version))

    def settled(self) -> None:
        self.within = self.within and self.told[-1][0] == self.projector.position


async def test_however_many_append_a_follower_is_told_of_each_event_as_its_run_then_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "progress.db"
    async with (
        Ledger.open(path) as ledger,
        Projector.open(ledger) as projector,
        Ledger.open(path, sweep=False) as another,
    ):
        run_ids = [f"r{number}" for number in range(50)]
        for run_id in run_ids:
            await ledger.create(RunSpec(kind="k"), run_id=run_id)
        first = projector.position
        witness = Witness(projector)
        projector.follow(witness)

        async def job(run_id: str, seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(12):
                through = another if chance.random() < 0.05 else ledger
                await through.append(run_id, [Ticked(advance=1)] * chance.choice([1, 1, 1, 2]))
                if chance.random() < 0.05:
                    await projector.caught_up()
                    state = projector.peek(run_id)
                    assert state is not None
                    assert (state.position, run_id, state.version, state.version) in witness.told

        async with anyio.create_task_group() as tasks:
            for seed, run_id in enumerate(run_ids):
                tasks.start_soon(job, run_id, seed)
        await projector.caught_up()
        assert [told[0] for told in witness.told] == list(range(first + 1, projector.position + 1))
        assert all(version == seen for _, _, version, seen in witness.told)
        assert witness.within
