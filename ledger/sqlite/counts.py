"""How many runs are in each status, without counting again what cannot change any more.

A run that has ended stays ended, and runs are numbered as they begin. So of a filter that was counted before,
only the runs that were active then and those that began since are looked at: with 200,000 runs in the file
30 µs instead of 50 ms. What is kept is never trusted for more than that, so other processes' commits count.
"""

import sqlite3
from collections import Counter, OrderedDict
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ..events import ACTIVE
from ..log import RunFilter
from .runs import IS_ACTIVE, select_runs

__all__ = ("FILTERS_KEPT", "Counts")

FILTERS_KEPT = 64
"""Filters of which is known what was counted, the ones asked for last."""

_COLUMNS = f"status, count(*), json_group_array(number) FILTER (WHERE {IS_ACTIVE})"
# One statement sees one moment of the file.
_REST = f"""
UNION ALL
SELECT {_COLUMNS} FROM run_entry WHERE number IN (SELECT value FROM json_each(?)) GROUP BY status
UNION ALL
SELECT NULL, number, epoch FROM ledger
"""


class _Tally(NamedTuple):
    """Of the runs numbered up to ``through``: how many ended how, and the numbers of the others."""

    epoch: str
    through: int
    ended: dict[str, int]
    active: list[int]


_NOTHING = _Tally("", 0, {}, [])


class Counts:
    """Runs by status. To be asked on one thread, always of the same file."""

    def __init__(self) -> None:
        self._kept: OrderedDict[RunFilter, _Tally] = OrderedDict()

    def of(self, connection: sqlite3.Connection, where: RunFilter) -> dict[str, int]:
        """What :meth:`~..log.EventLog.count_runs` says, as of every commit before the call."""
        statuses = where.statuses
        where = replace(where, statuses=None)
        kept = self._kept.pop(where, _NOTHING)
        tally, counts = _count(connection, where, kept)
        if kept is not _NOTHING and (tally.epoch != kept.epoch or tally.through < kept.through):
            # Somebody cut the log: runs may have other numbers now, or be active again.
            tally, counts = _count(connection, where, _NOTHING)
        if where.run_ids is None:  # such a filter can be long, and costs little
            self._kept[where] = tally
            if len(self._kept) > FILTERS_KEPT:
                self._kept.popitem(last=False)
        return {status: count for status, count in counts.items() if statuses is None or status in statuses}


def _count(connection: sqlite3.Connection, where: RunFilter, kept: _Tally) -> tuple[_Tally, Counter[str]]:
    sql, parameters = select_runs(where, _COLUMNS, after=kept.through or None, group="status")
    counts = Counter(kept.ended)
    active: list[int] = []
    epoch, through = "", 0
    numbers = msgspec.json.encode(kept.active).decode()
    for status, count, rest in connection.execute(sql + _REST, [*parameters, numbers]).fetchall():
        if status is None:
            epoch, through = rest, count
        else:
            counts[status] += count
            active += msgspec.json.decode(rest, type=list[int])
    ended = {status: count for status, count in counts.items() if status not in ACTIVE}
    return _Tally(epoch, through, ended, active), counts
