"""The one task that writes: it takes what is waiting, commits it in one transaction, tells the
listeners, and only then gives out the receipts.

There is no timer. While a batch is on its way to the disk the next one gathers by itself, so that one
producer pays for one commit and sixty-four share one. Waiting is on bare asyncio futures, since
aiosqlite ties the ledger to asyncio anyway and an anyio event for each receipt costs three times as much.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple, TypeAlias

import anyio
from msgspec import Struct

from .errors import Closed, LedgerError
from .log import Accepted, Append, Commit, EventLog

__all__ = ("Listener", "MAX_BATCH", "MAX_WAITING", "Writer", "WriterStatistics")

_logger = logging.getLogger("progress_ledger.ledger")

MAX_WAITING = 16_384
"""Events that may wait for the writer; whoever brings more waits for a place."""

MAX_BATCH = 2_048
"""Events of one transaction. A request that is larger still goes whole."""

Listener = Callable[[Commit], None]
"""Called after a commit and before its receipts. It neither awaits nor raises; if it raises, that is
logged, the commit stands, and the listener has to catch up from the log."""


class WriterStatistics(NamedTuple):
    """What the writer has done: ``seconds`` is the time spent in commits, ``waiting`` the events in line."""

    commits: int
    events: int
    seconds: float
    waiting: int


_Outcomes: TypeAlias = "asyncio.Future[list[Accepted | LedgerError]]"


class _Job(Struct, gc=False):
    requests: Sequence[Append]
    size: int
    outcomes: _Outcomes


class Writer:
    """Group commit over an engine. :meth:`run` is the task; :meth:`append` is for everybody else."""

    def __init__(self, log: EventLog, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._closing = False
        self._idle = False
        self._listeners: list[Listener] = []
        self._observers: list[Callable[[int, float], None]] = []
        self._commits = 0
        self._events = 0
        self._seconds = 0.0

    async def append(self, requests: Sequence[Append]) -> list[Accepted | LedgerError]:
        """What became of each request, once all that was accepted is durable.

        Cancelled before the writer took the requests, nothing of them is appended; cancelled later, they
        are appended all the same: send them again with the same event ids to learn which it was.
        Raises Unavailable when nothing of them was stored.
        """
        if self.full:
            await self.room()
        return await self.send(requests)

    @property
    def full(self) -> bool:
        """Whether as many events wait as may."""
        return self._waiting >= MAX_WAITING

    async def room(self) -> None:
        """Wait for a place, or for the end."""
        while self._waiting >= MAX_WAITING and not self._closing:
            self._room.clear()
            await self._room.wait()

    def send(self, requests: Sequence[Append]) -> "asyncio.Future[list[Accepted | LedgerError]]":
        """What :meth:`append` waits for, without a look at how many wait: see :attr:`full`."""
        if self._closing:
            raise Closed
        size = len(requests[0].drafts) if len(requests) == 1 else sum(len(each.drafts) for each in requests)
        outcomes: _Outcomes = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(requests, size, outcomes))
        self._waiting += size
        if self._idle:
            self._wake.set()
        return outcomes

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` after every commit from now on. Returns what stops it."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def observe(self, observer: Callable[[int, float], None]) -> None:
        """Call ``observer(events, seconds)`` with the size and duration of every commit, for metrics."""
        self._observers.append(observer)

    @property
    def statistics(self) -> WriterStatistics:
        """Totals since the ledger was opened."""
        return WriterStatistics(self._commits, self._events, self._seconds, self._waiting)

    @property
    def busy(self) -> bool:
        """Whether something is being written or waits for it."""
        return bool(self._jobs) or not self._idle

    def close(self) -> None:
        """Take no more requests; :meth:`run` returns when those in line are done."""
        self._closing = True
        self._wake.set()
        self._room.set()

    async def run(self) -> None:
        """Write until closed. Cancelled, it finishes what is in line first."""
        while True:
            if not self._jobs:
                if self._closing:
                    return
                self._wake.clear()
                self._idle = True
                try:
                    await self._wake.wait()
                except asyncio.CancelledError:
                    self.close()
                    with anyio.CancelScope(shield=True):
                        while self._jobs:
                            await self._write(self._take())
                    raise
                finally:
                    self._idle = False
            with anyio.CancelScope(shield=True):
                await self._write(self._take())

    def _take(self) -> list[_Job]:
        batch: list[_Job] = []
        if self._waiting <= MAX_BATCH:
            batch += [job for job in self._jobs if not job.outcomes.cancelled()]
            self._jobs.clear()
            self._waiting = 0
        else:
            size = 0
            while self._jobs and (not batch or size + self._jobs[0].size <= MAX_BATCH):
                job = self._jobs.popleft()
                self._waiting -= job.size
                if not job.outcomes.cancelled():
                    batch.append(job)
                    size += job.size
        if self._waiting < MAX_WAITING:
            self._room.set()
        return batch

    async def _write(self, batch: list[_Job]) -> None:
        if not batch:
            return
        requests = [request for job in batch for request in job.requests]
        began = perf_counter()
        try:
            commit = await self._log.commit(requests, now=self._clock())
        except Exception as error:
            for job in batch:
                if not job.outcomes.done():
                    job.outcomes.set_exception(error)
            return
        # From here no await: fold order is commit order, and the receipts come after the fold.
        self._tell(commit, perf_counter() - began)
        start = 0
        outcomes = commit.outcomes
        for job in batch:
            end = start + len(job.requests)
            if not job.outcomes.done():
                job.outcomes.set_result(outcomes[start:end])
            start = end

    def _tell(self, commit: Commit, seconds: float) -> None:
        self._commits += 1
        self._events += len(commit.events)
        self._seconds += seconds
        for observer in self._observers:
            try:
                observer(len(commit.events), seconds)
            except Exception:
                _logger.exception("an observer failed on a commit")
        if commit.events:
            for listener in tuple(self._listeners):
                try:
                    listener(commit)
                except Exception:
                    _logger.exception("a listener failed on a commit; it has to catch up from the log")
