"""When a run's producer counts as gone. Decisions only: what is read and appended is :mod:`.sweeper`'s.

A lease counts only time in which the ledger could have heard the producer. What is measured is how long a
run has stood at one version, on a clock that nobody sets, since somebody here first saw it there. So a
start of the server, a sleep of the machine, a jump of the clock or a stall of the one who looks gives every
run its full lease again.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ..log import RunHead
from .owner import Incarnation, Owner, is_dead, parse_owner

__all__ = ("JUMP_SECONDS", "STALL_SECONDS", "Expired", "LeaseBook", "Moment", "dead_runs")

JUMP_SECONDS = 2.0
"""How far the clocks may come apart between two looks before that counts as a sleep or a jump."""

STALL_SECONDS = 5.0
"""How much later than planned a look may come before the time between counts as not having looked."""


class Moment(NamedTuple):
    """What the clocks say at once: ``monotonic`` stands still in a sleep, ``boot`` does not, ``wall`` is set
    by people."""

    monotonic: float
    boot: float
    wall: float


class Expired(NamedTuple):
    """A run whose producer is gone: at this version, for this reason."""

    run_id: str
    version: int
    reason: str


class LeaseBook:
    """Remembers since when each run stands at its version. ``every`` is the time between two looks."""

    def __init__(self, *, every: float) -> None:
        self._every = every
        self._since: dict[str, tuple[int, float]] = {}
        self._last: Moment | None = None

    def look(self, heads: Iterable[RunHead], moment: Moment) -> list[Expired]:
        """Which of the active runs ``heads`` have outlived their lease at ``moment``.

        Runs that are not among the heads are forgotten.
        """
        if self._last is not None and not _steady(self._last, moment, self._every):
            self._since.clear()
        self._last = moment
        since: dict[str, tuple[int, float]] = {}
        expired: list[Expired] = []
        for head in heads:
            if head.lease_seconds is None or not head.active:
                continue
            version, seen = self._since.get(head.run_id, (0, 0.0))
            if version != head.version:
                version, seen = head.version, moment.monotonic
            since[head.run_id] = version, seen
            silence = moment.monotonic - seen
            if silence >= head.lease_seconds:
                name = parse_owner(head.owner).name or "the producer"
                expired.append(Expired(head.run_id, version, f"no sign of {name} for {silence:.0f} s"))
        self._since = since
        return expired


def dead_runs(heads: Iterable[RunHead], name: str, *, here: Incarnation | None = None) -> list[Expired]:
    """Active runs of owner ``name`` whose very process is known to be gone."""
    found: list[Expired] = []
    for head in heads:
        owner: Owner = parse_owner(head.owner)
        if (
            head.active
            and owner.name == name
            and owner.incarnation is not None
            and is_dead(owner.incarnation, here=here)
        ):
            reason = f"{name} (process {owner.incarnation.pid}) ended without ending this run"
            found.append(Expired(head.run_id, head.version, reason))
    return found


def _steady(before: Moment, after: Moment, every: float) -> bool:
    ran = after.monotonic - before.monotonic
    slept = abs((after.boot - before.boot) - ran)
    jumped = abs((after.wall - before.wall) - ran)
    return ran <= every + STALL_SECONDS and slept <= JUMP_SECONDS and jumped <= JUMP_SECONDS
