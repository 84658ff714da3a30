"""Where a batch is planned, and what is remembered of runs from one batch to the next.

Inside the transaction nobody else can change what a batch is planned on, and all of it can be looked up.
Most batches need nothing looked up: those are planned on the event loop before the transaction is begun, and
the plan holds if the log then stands where it stood. What a plan is made from and what it makes stays on one
processor that way, where passing it to another and back costs a microsecond an event.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from ..batch import Known, Needs, Plan, World, known_of, needs, plan
from ..log import Append, RunHead, Stored
from .file import queries
from .runs import read_heads

__all__ = ("AHEAD", "HEADS_KEPT", "Planned", "Planner", "Turn")

HEADS_KEPT = 20_000
"""How many runs' heads stay in memory between batches."""

AHEAD = 512
"""Events of a batch that may be planned on the event loop: a millisecond for which all else there waits."""

_NOWHERE = -1


class Planned(NamedTuple):
    """A plan, made when ``after`` was the newest position, and the ``world`` as it is with it."""

    after: int
    world: World
    plan: Plan


class Turn(NamedTuple):
    """A batch on its way: where the log stood when it was last known to, and the plan if that sufficed."""

    number: int
    position: int
    ahead: Planned | None


class Planner:
    """Plans the batches of one writing connection.

    :meth:`begin` and :meth:`done` are called on the event loop, :meth:`inside` between them, in the
    transaction. Meanwhile nothing is taken as known: what fails or is cancelled leaves heads that are read
    again.
    """

    def __init__(self) -> None:
        self._heads: dict[str, RunHead] = {}
        self._position = _NOWHERE
        self._number = 0
        self._turn = 0

    def __len__(self) -> int:
        return len(self._heads)

    def begin(self, requests: Sequence[Append], time: str) -> Turn:
        """The batch's turn, with a plan where all that it needs is remembered."""
        self._turn += 1
        position, self._position = self._position, _NOWHERE
        heads = self._heads
        if position == _NOWHERE or len(heads) > HEADS_KEPT or sum(len(r.drafts) for r in requests) > AHEAD:
            return Turn(self._turn, position, None)
        wanted = needs(requests)
        if wanted.slots or wanted.event_ids or wanted.firsts or not wanted.run_ids <= heads.keys():
            return Turn(self._turn, position, None)
        world = World(position=position, number=self._number, heads=heads, slots={}, known={}, firsts={})
        return Turn(self._turn, position, Planned(position, world, plan(requests, world, time=time)))

    def inside(
        self, connection: sqlite3.Connection, requests: Sequence[Append], time: str, turn: Turn
    ) -> Planned:
        """The plan to write in this transaction: the one made ahead, or a new one if the log has moved."""
        position, number = connection.execute(queries()["head"]).fetchone()
        if position != turn.position or len(self._heads) > HEADS_KEPT:
            self._heads.clear()
        elif turn.ahead is not None:
            return turn.ahead
        world = self._world(connection, needs(requests), position, number)
        return Planned(position, world, plan(requests, world, time=time))

    def done(self, turn: Turn, planned: Planned) -> None:
        """The plan is committed. Unless the next turn has begun, what it left is known."""
        if turn.number == self._turn:
            self._position = planned.world.position
            self._number = planned.world.number

    def _world(self, connection: sqlite3.Connection, wanted: Needs, position: int, number: int) -> World:
        sql = queries()
        heads = self._heads
        missing = wanted.run_ids - heads.keys()
        if missing:
            heads |= read_heads(connection, list(missing))
        slots: dict[str, RunHead] = {}
        for slot in wanted.slots:
            row = connection.execute(sql["slot_holder"], (slot,)).fetchone()
            if row is not None:
                slots[slot] = read_heads(connection, [row[0]])[row[0]]
        known: dict[tuple[str, str], Known] = {}
        for run_id, event_id in wanted.event_ids:
            if run_id in heads:
                row = connection.execute(sql["event_by_id"], (heads[run_id].number, event_id)).fetchone()
                if row is not None and row[1] is not None:
                    known[run_id, event_id] = known_of(Stored(row[0], row[1].encode("ascii")))
        firsts: dict[str, Known] = {}
        for run_id in wanted.firsts:
            if run_id in heads:
                row = connection.execute(sql["event_at"], (heads[run_id].first,)).fetchone()
                if row is not None and row[0] is not None:
                    firsts[run_id] = known_of(Stored(heads[run_id].first, row[0].encode("ascii")))
        return World(position=position, number=number, heads=heads, slots=slots, known=known, firsts=firsts)
