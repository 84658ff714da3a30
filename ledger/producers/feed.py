"""One run's way from a producer into a ledger: everything is said into it from any thread, and one task
of the ledger's event loop sends it, in order, merged, a few times a second.

The producer is never made to wait for what it does not ask for, and a ledger that cannot be written is the
feed's trouble alone: what was said is kept, sent when the ledger is back, and spoken of once a minute.
Waiting is on bare asyncio events, as in :mod:`..writer`.
"""

import asyncio
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from ..door import Draft
from ..errors import (
    EventIdConflict,
    InvalidTransition,
    LedgerError,
    RunEnded,
    RunExists,
    RunNotFound,
    SlotTaken,
    Unavailable,
)
from ..events import TERMINAL, Payload, RunSpec
from ..log import Receipt
from ..times import format_time
from .intake import Intake, Post
from .merge import Merge
from .outage import Outage
from .outbox import Entry, Outbox, Reply
from .sampler import Sampler
from .sink import CALLERS_OWN, News, Sink

__all__ = ("Feed", "FeedStatistics")

_logger = logging.getLogger("progress_ledger.producer")


class FeedStatistics(NamedTuple):
    """What became of what was said: events in the log, ``waiting`` for it, ``refused`` by it, ``lost`` at
    the bound or at the end; wrong arguments ``ignored``; and attempts that failed."""

    appended: int
    waiting: int
    refused: int
    lost: int
    ignored: int
    failures: int


class Feed:
    """See the module. :meth:`begin` and :meth:`pump` belong to the loop, the rest to any thread.

    ``merge`` may have been filled before there was a feed. ``sample`` says how far the job is, for jobs that
    are looked at instead of saying so.
    """

    def __init__(
        self,
        sink: Sink,
        run_id: str,
        spec: RunSpec,
        *,
        queued: bool = False,
        attach: bool = False,
        strict: bool = False,
        interval: float = 0.25,
        merge: Merge | None = None,
        sample: Callable[[], int] | None = None,
    ) -> None:
        self.sink = sink
        self.run_id = run_id
        self.spec: RunSpec = spec
        self.strict = strict
        self.merge = merge if merge is not None else Merge(strict=strict)
        self.merge.wake = self._wake
        self._sampler = None if sample is None else Sampler(sample, interval)
        self.seen = 0
        self.cancel_requested = False
        self.cancel_reason: str | None = None
        self.ended_by_others: str | None = None
        self.refusal: SlotTaken | RunExists | None = None
        self.interval = interval
        self._queued = queued
        self._attach = attach
        self._created = attach
        self._tried_to_create = False
        self._outbox = Outbox(secrets.token_hex(6), always_ids=sink.answers_may_get_lost)
        self._intake = Intake(run_id, self.merge, self._outbox, queued=queued)
        self._posts: deque[Post] = deque()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._event = asyncio.Event()
        self._closing = False
        self.done = asyncio.Event()
        self._last_tick = float("-inf")
        self._barriers: list[asyncio.Event] = []
        self._last_contact = self._loop.time()
        self._outage = Outage()
        self._appended = self._refused = self._lost = self._ignored_spoken = 0

    # ── from any thread ─────────────────────────────────────────────────────────────────────────────────

    def post(self, payload: Payload, reply: Reply | None = None, *, draft: Draft | None = None) -> None:
        """Send ``payload`` at once, after what was said before it. ``reply`` is called on the loop."""
        self._posts.append(Post(payload, reply, draft))
        self._wake()

    def close(self) -> None:
        """Send what is left and end. :attr:`done` is set then."""
        self._closing = True
        self._wake()

    @property
    def statistics(self) -> FeedStatistics:
        """What became of what was said so far."""
        waiting = len(self._outbox) + len(self._posts)
        lost = self._lost + self._outbox.lost
        return FeedStatistics(
            self._appended, waiting, self._refused, lost, self.merge.ignored, self._outage.failures
        )

    @property
    def status(self) -> str:
        """The run's status, as this producer knows it."""
        return self._intake.status

    @property
    def error(self) -> LedgerError | None:
        """Why the ledger takes nothing now; None while it does."""
        return self._outage.error

    def _wake(self) -> None:
        if threading.get_ident() == self._thread:
            self._event.set()
            return
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            # The loop is closed: the ledger is gone, and this run was told so when it went.
            return

    # ── on the loop ─────────────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> None:
        """Create the run, or join it.

        Raises SlotTaken, RunExists, RunNotFound, RunEnded, InvalidRun and TooLarge. A ledger that is away,
        or refuses for reasons of its own, is asked again later, unless ``strict``: then that raises too.
        """
        try:
            if self._attach:
                await self._join()
            else:
                await self._create()
        except LedgerError as error:
            if self.strict or isinstance(error, CALLERS_OWN):
                raise
            self._fail(error, [])

    async def flushed(self) -> None:
        """Wait until what was said is written, or kept for a ledger that is away."""
        if not self.done.is_set():
            barrier = asyncio.Event()
            self._barriers.append(barrier)
            self._event.set()
            await barrier.wait()

    async def pump(self) -> None:
        """Send until closed and empty. Does not raise."""
        try:
            while not await self._ended():
                waiting, self._barriers = self._barriers, []
                await self._flush(now=bool(waiting))
                for barrier in waiting:
                    barrier.set()
        finally:
            self.done.set()
            for barrier in self._barriers:
                barrier.set()

    def news(self, news: News) -> None:
        """What others did to the run."""
        self.seen = max(self.seen, news.version)
        if news.cancel_requested and not self.cancel_requested:
            self.cancel_reason = news.reason
            self.cancel_requested = True
        if news.status in TERMINAL and self._intake.status not in TERMINAL and self._outbox.terminal is None:
            self._end(news.status)
        elif news.status == "running" and self._intake.status == "queued":
            self._intake.status = "running"

    def give_up(self) -> None:
        """The ledger is closing: count what it never took as lost, and say so."""
        self._collect(everything=True)
        terminal = self._outbox.terminal
        lost = self._outbox.clear(self._outage.error)
        self._lost += lost
        if terminal is not None:
            _logger.error(
                "run %s: its end (%s) could not be written, so the ledger still shows it running; "
                "%d events were lost in all (%s)",
                self.run_id,
                terminal,
                self.statistics.lost,
                self._outage.error or "the ledger was closed",
            )
        elif lost:
            _logger.error("run %s: %d events were lost (%s)", self.run_id, lost, self._outage.error)

    async def _create(self) -> None:
        spec = self.spec
        if self.sink.answers_may_get_lost and spec.occurred_at is None:
            self.spec = spec = msgspec.structs.replace(spec, occurred_at=self._now())
        try:
            created = await self.sink.create(spec, run_id=self.run_id, queued=self._queued)
        except Unavailable:
            self._tried_to_create = True
            if not self.sink.answers_may_get_lost and spec.occurred_at is None:
                self.spec = msgspec.structs.replace(spec, occurred_at=self._now())
            raise
        if not created.appended and not self._tried_to_create:
            raise RunExists(self.run_id)
        self._created = True
        self.seen = max(self.seen, created.receipt.version)
        self._appended += 1
        self._last_contact = self._loop.time()

    async def _join(self) -> None:
        news = (await self.sink.look({self.run_id: 0})).get(self.run_id)
        if news is None:
            raise RunNotFound(self.run_id)
        if news.status in TERMINAL:
            raise RunEnded(self.run_id, news.status)
        self._intake.status = news.status
        self.news(news)

    async def _ended(self) -> bool:
        # Waits until something is due; True when the feed is closed and nothing is left to send.
        while True:
            self._event.clear()
            if self._closing and not self._posts and not self._outbox and not self._intake.pending:
                return True
            due = self._due()
            if due is not None and due <= 0:
                return False
            try:
                async with asyncio.timeout(due):
                    await self._event.wait()
            except TimeoutError:
                continue

    def _due(self) -> float | None:
        # Seconds until there is something to do; None: when something is said.
        now = self._loop.time()
        if self._posts or self._barriers or (self._closing and not self._outage.error):
            return 0
        waits: list[float] = []
        if self._outage.error is not None and self._outbox:
            waits.append(self._outage.wait(now))
        if self._sampler is not None and self._intake.status not in TERMINAL:
            waits.append(self._sampler.wait(now))
        if self._intake.pending:
            waits.append(self._last_tick + self.interval - now)
        lease = self.spec.lease_seconds
        if lease is not None and self._intake.status not in TERMINAL and self._outage.error is None:
            waits.append(self._last_contact + lease / 3 - now)
        return min(waits) if waits else None

    def _collect(self, *, everything: bool) -> None:
        # Move what was said into the outbox: a job's first tick and its facts at once, the rest on time.
        text = self._now()
        if self._sampler is not None and (new := self._sampler.look(self._loop.time())):
            self.merge.advance(new)
        while self._posts:
            self._intake.fact(self._posts.popleft(), text)
        now = self._loop.time()
        if (everything or now >= self._last_tick + self.interval) and self._intake.ticks(text):
            self._last_tick = now
        if self.merge.ignored > self._ignored_spoken:
            self._ignored_spoken = self.merge.ignored
            self._speak(f"{self.merge.ignored} calls had wrong arguments and counted nothing")

    async def _flush(self, *, now: bool = False) -> None:
        self._collect(everything=now or self._closing)
        at = self._loop.time()
        if self._outage.error is not None and self._outage.wait(at) > 0 and not self._closing:
            self._answer_waiting(self._outage.error)
            return
        lease = self.spec.lease_seconds
        if not self._outbox and lease is not None and at >= self._last_contact + lease / 3:
            self._intake.heartbeat(self._now())
        while self._outbox and self.ended_by_others is None:
            batch = self._outbox.batch()
            try:
                if not self._created:
                    await self._create()
                await self._send(batch)
            except Unavailable as error:
                self._fail(error, batch)
                return
            except (SlotTaken, RunExists) as error:
                # Found out late, since the ledger was away at the start: said at the producer's next call.
                self.refusal = error
                self._lost += self._outbox.clear(error)
                self._end("interrupted", spoken=str(error))
            except LedgerError as error:
                self._refuse(batch, error)

    async def _send(self, batch: list[Entry]) -> None:
        if len(batch) > 1:
            try:
                receipts = await self._append(batch)
            except (Unavailable, RunEnded):
                raise
            except LedgerError:
                # One of them spoils all: singly, only that one is refused.
                for entry in batch:
                    await self._send([entry])
                return
        else:
            try:
                receipts = await self._append(batch)
            except (Unavailable, RunEnded):
                raise
            except EventIdConflict:
                receipts = [Receipt(0, 0)]  # the id is this feed's own: the event is in the log already
            except LedgerError as error:
                self._refuse(batch, error)
                return
        self._outbox.settle(batch)
        if self._outage.over():
            _logger.warning("run %s: the ledger is back, and what was kept goes out", self.run_id)
        self._last_contact = self._loop.time()
        for entry, receipt in zip(batch, receipts, strict=True):
            self._appended += 1
            if receipt.version == self.seen + 1:
                self.seen = receipt.version
            entry.answer(receipt)

    async def _append(self, batch: list[Entry]) -> list[Receipt]:
        try:
            return (await self.sink.append(self.run_id, [entry.draft() for entry in batch])).receipts
        except RunEnded as error:
            self._end(error.status)
            raise

    def _refuse(self, batch: list[Entry], error: LedgerError) -> None:
        self._outbox.settle(batch)
        self._refused += len(batch)
        if not isinstance(error, RunEnded) and not all(entry.reply for entry in batch if self.strict):
            self._speak(f"the ledger refused {batch[0].payload.type!r}: {error}")
        for entry in batch:
            entry.answer(None, error)
        if isinstance(error, InvalidTransition) and self._intake.status not in TERMINAL:
            self._intake.status = error.status

    def _end(self, status: str, *, spoken: str | None = None) -> None:
        # Somebody else ended the run while its producer lives: it is told once, and the job goes on.
        if self.ended_by_others is None:
            self.ended_by_others = status
            if self._outbox.terminal != status:
                _logger.warning(
                    "run %s: %s",
                    self.run_id,
                    spoken
                    or f"it was ended as {status} by others while its producer lives; nothing more is "
                    f"recorded. Begin a new run with retry_of={self.run_id!r} to report what follows.",
                )
        self._intake.status = status
        self._lost += self._outbox.clear(RunEnded(self.run_id, status))

    def _fail(self, error: LedgerError, batch: list[Entry]) -> None:
        self._outage.fail(error, self._loop.time())
        self._outbox.postpone(batch, uncertain=self.sink.answers_may_get_lost)
        self._speak(
            f"the ledger cannot be written ({error}); {len(self._outbox)} events wait for it, "
            f"{self._outbox.lost} were lost so far; the job goes on"
        )
        self._answer_waiting(error)

    def _answer_waiting(self, error: LedgerError) -> None:
        # Nobody waits for a ledger that is away, except who ends the run and said how long.
        for entry in self._outbox.batch(limit=len(self._outbox)):
            if entry.payload.type not in TERMINAL:
                entry.answer(None, error)

    def _speak(self, what: str) -> None:
        if self._outage.may_speak(self._loop.time()):
            _logger.warning("run %s: %s", self.run_id, what)

    def _now(self) -> str:
        return format_time(self.sink.clock())
