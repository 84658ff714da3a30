"""A few runs further than the fold is, so that whoever asks for one need not wait for all the others.

While another process writes a great deal, the fold is some way behind the log. A run asked for then is
shown as of the log's head all the same: mostly it has not moved, and its state is what the fold has; or it
has moved a little, and that little is folded here, on a copy of its state, which the fold never sees.
"""

from collections import ChainMap
from collections.abc import Collection, Mapping, MutableMapping

from progress_ledger.ledger.codec import decode
from progress_ledger.ledger.errors import Pruned
from progress_ledger.ledger.events import ACTIVE
from progress_ledger.ledger.log import EventLog, RunHead

from .run import apply
from .state import RunState
from .states import States
from .store import document_of, state_of

__all__ = ("MOST_CHILDREN", "MOST_EVENTS", "MOST_READS", "MOST_RUNS", "Ahead")

MOST_EVENTS = 256
"""Events of one run folded at a time: for one that is further behind waiting for the fold is no worse."""

MOST_RUNS = 64
"""Runs kept here. Those for whom there is no room wait for the fold."""

MOST_READS = 16
"""Runs read from the log at one look."""

MOST_CHILDREN = 100
"""Active children looked at for what is shown of runs; with more they wait for the fold."""


class Ahead:
    """States of active runs beyond the fold, as of their newest event when somebody asked."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._states: dict[str, RunState] = {}
        self._reads = 0

    def beyond(self, position: int) -> MutableMapping[str, RunState]:
        """The states that are further than a fold at ``position``; the others are forgotten."""
        if self._states:
            self._states = {
                run_id: state for run_id, state in self._states.items() if state.position > position
            }
        return self._states

    def over(self, states: States) -> Mapping[str, RunState]:
        """The active runs of ``states``, those that are here as they are here. Not to be written to."""
        beyond = self.beyond(states.position)
        return ChainMap({}, beyond, states.active) if beyond else states.active

    async def reach(self, run_ids: Collection[str], states: States, head: int) -> dict[str, int]:
        """Bring those runs up to the log's ``head`` or further, where that takes little.

        Returns for each of them the position that ``states`` must be folded up to before it can be shown as
        of ``head``, and 0 for one that can be shown now. What is shown of a run includes its active children.
        Raises Unavailable.
        """
        family = {run_id: set(states.family.children(run_id)) for run_id in run_ids}
        heads = await self._log.runs_by_id({*run_ids}.union(*family.values()), children=MOST_CHILDREN)
        children = 0
        for found in heads.values():
            if found.parent in family and found.active:
                family[found.parent].add(found.run_id)
                children += 1
        if children >= MOST_CHILDREN:
            return dict.fromkeys(run_ids, head)
        self._reads = MOST_READS
        needed: dict[str, int] = {}
        for run_id, ids in family.items():
            kin = [heads[one] for one in (run_id, *ids) if one in heads]
            needed[run_id] = max([await self._needed(one, states, head) for one in kin], default=0)
        return needed

    async def _needed(self, found: RunHead, states: States, head: int) -> int:
        run_id = found.run_id
        state = self.beyond(states.position).get(run_id) or states.get(run_id)
        if state is None:
            # Either it ended and left the memory, or the fold has not come to its beginning: what it learns
            # there from the runs before it can be known only then.
            return 0 if found.last <= states.position else min(found.last, head)
        if state.version < found.version and not await self._fold(state, found.version):
            return min(found.last, head)
        return 0

    async def _fold(self, state: RunState, version: int) -> bool:
        run_id = state.run_id
        if version - state.version > MOST_EVENTS or state.status not in ACTIVE or not self._reads:
            return False
        self._reads -= 1
        if run_id not in self._states:
            copy = state_of(document_of(state)) if len(self._states) < MOST_RUNS else None
            if copy is None:
                return False
            state = copy
        try:
            events = await self._log.read_run(run_id, after=state.version, limit=MOST_EVENTS)
        except Pruned:
            return False
        for position, body in events:
            if body is None:
                return False
            apply(state, decode(body, position))
        self._states[run_id] = state
        return state.version >= version
