"""What is looked up for a batch before it is planned, and what is remembered of runs until the next one."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from ..batch import Known, Needs, Plan, World, known_of, needs, plan
from ..log import Append, RunHead, Stored
from .file import queries
from .runs import read_heads

__all__ = ("HEADS_KEPT", "Planned", "Planner")

HEADS_KEPT = 20_000
"""How many runs' heads stay in memory between batches."""

_NOWHERE = -1


class Planned(NamedTuple):
    """A plan, made when ``after`` was the newest position, and the ``world`` as it is with it."""

    after: int
    world: World
    plan: Plan


class Planner:
    """Plans the batches of one writing connection, inside their transactions, where nothing else can change.

    Heads are remembered as long as nobody else writes. Until :meth:`committed` is told of a plan nothing is
    taken as known: what fails on the way leaves heads that are read again.
    """

    def __init__(self) -> None:
        self._heads: dict[str, RunHead] = {}
        self._position = _NOWHERE

    def plan(self, connection: sqlite3.Connection, requests: Sequence[Append], time: str) -> Planned:
        """What is to be written in the transaction that ``connection`` is in."""
        known, self._position = self._position, _NOWHERE
        position, number = connection.execute(queries()["head"]).fetchone()
        if position != known or len(self._heads) > HEADS_KEPT:
            self._heads.clear()
        world = self._world(connection, needs(requests), position, number)
        return Planned(position, world, plan(requests, world, time=time))

    def committed(self, planned: Planned) -> None:
        """The plan is in the log, and its heads hold until somebody else writes."""
        self._position = planned.world.position

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
