"""Interrupts the runs whose producers are gone, whichever ledger is there to do it.

Several may look at one log: each appends only to the version it judged, so that a run is interrupted once,
and a sign of life that comes first wins.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import anyio

from ..errors import LedgerError, RunEnded, Unavailable, VersionConflict
from ..events import ACTIVE, Interrupted, Payload
from ..log import Accepted, EventLog, RunFilter, RunHead
from .lease import Expired, LeaseBook, Moment, dead_runs

__all__ = ("SWEEP_SECONDS", "Sweeper", "interrupt_dead", "read_clocks")

_logger = logging.getLogger("progress_ledger.ledger")

SWEEP_SECONDS = 1.0
"""Time between two looks."""

_ACTIVE = RunFilter(statuses=ACTIVE)


class _Ledger(Protocol):
    @property
    def log(self) -> EventLog: ...

    async def append(
        self, run_id: str, events: list[Payload], *, expected_version: int | None = None
    ) -> Accepted: ...


def read_clocks() -> Moment:
    """This moment on all three clocks."""
    monotonic = time.monotonic()
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else monotonic
    return Moment(monotonic, boot, time.time())


class Sweeper:
    """Looks after leases while :meth:`run` runs. ``clocks`` is for tests of time."""

    def __init__(
        self, ledger: _Ledger, *, every: float = SWEEP_SECONDS, clocks: Callable[[], Moment] = read_clocks
    ) -> None:
        self._ledger = ledger
        self._every = every
        self._clocks = clocks
        self._book = LeaseBook(every=every)
        self._position = -1
        self._leased: list[RunHead] = []
        self._next_listing = 0.0
        self._stop = anyio.Event()

    def stop(self) -> None:
        """Let :meth:`run` return."""
        self._stop.set()

    async def run(self) -> None:
        """Sweep until stopped. A log that cannot be read or written now is tried again later."""
        while not self._stop.is_set():
            try:
                await self.sweep()
            except LedgerError as error:
                _logger.debug("leases could not be looked after: %s", error)
            with anyio.move_on_after(self._every):
                await self._stop.wait()

    async def sweep(self) -> list[str]:
        """Interrupt what has outlived its lease now, and say which runs that were."""
        position = await self._ledger.log.head()
        began = time.monotonic()
        if position != self._position and began >= self._next_listing:
            self._leased = [
                head for head in await _active(self._ledger.log) if head.lease_seconds is not None
            ]
            self._position = position
            # Many active runs on a busy log: listing them takes at most a twentieth of the time.
            self._next_listing = began + 20 * (time.monotonic() - began)
        expired = self._book.look(self._leased, self._clocks())
        if expired and position != self._position:
            # Judged on an old list: look again once it can be a new one.
            return []
        return await _interrupt(self._ledger, expired)


async def interrupt_dead(ledger: _Ledger, name: str) -> list[str]:
    """Interrupt the runs of dead processes of owner ``name``, their counts kept, and say which they were.

    What living processes of the same name run is not touched. Does not raise for a log that cannot be
    written: it says so, and the start goes on.
    """
    try:
        dead = dead_runs(await _active(ledger.log), name)
        interrupted = await _interrupt(ledger, dead)
    except Unavailable as error:
        _logger.warning("runs of dead processes could not be looked for: %s", error)
        return []
    if interrupted:
        _logger.warning(
            "%d runs of dead processes of %s are interrupted: %s",
            len(interrupted),
            name,
            ", ".join(interrupted),
        )
    return interrupted


async def _active(log: EventLog) -> list[RunHead]:
    found: list[RunHead] = []
    after: int | None = None
    while True:
        page = await log.runs(_ACTIVE, order="created", after=after, limit=1_000)
        found += page.runs
        after = page.next
        if after is None:
            return found


async def _interrupt(ledger: _Ledger, expired: Iterable[Expired]) -> list[str]:
    interrupted: list[str] = []
    for each in expired:
        try:
            await ledger.append(each.run_id, [Interrupted(reason=each.reason)], expected_version=each.version)
            interrupted.append(each.run_id)
        except (VersionConflict, RunEnded):
            continue  # its producer, or another sweeper, came first
    return interrupted
