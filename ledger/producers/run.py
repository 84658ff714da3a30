"""A job as a run, from an event loop: ``async with ledger.run(…) as run``."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any

import anyio
from msgspec import UNSET, UnsetType

from ..door import check_run_id, draft_event
from ..errors import (
    Closed,
    InvalidEvent,
    LedgerError,
    RunCancelled,
    RunEnded,
    RunExists,
    SlotTaken,
    TooLarge,
)
from ..events import (
    Cancelled,
    Completed,
    Failed,
    Heartbeat,
    Level,
    Noted,
    Paused,
    Payload,
    Resumed,
    Rewound,
    RunSpec,
    StageChanged,
    Started,
    TotalChanged,
)
from ..ids import new_run_id
from ..log import Receipt
from .ending import how_it_ended
from .feed import Feed, FeedStatistics
from .merge import plain_text
from .options import RunOptions, make_spec, make_tick, text_or_none
from .sink import Sink
from .watch import Watch

__all__ = ("Run", "StageEntry", "open_feed", "run")


class StageEntry:
    """A stage about to begin: ``async with`` or ``await`` it."""

    def __init__(self, run: "Run", change: StageChanged) -> None:
        self._run = run
        self._change = change

    async def _begin(self) -> "Run":
        await self._run.say(self._change)
        return self._run

    def __await__(self) -> Generator[Any, None, "Run"]:
        return self._begin().__await__()

    async def __aenter__(self) -> "Run":
        return await self._begin()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


class Run:
    """An open run. Leaving it ends it: ``completed``, on an exception ``failed``, on cancellation
    ``cancelled``; an attached one is only let go.

    Methods that are awaited append their event at once and return its receipt when it is on disk, or None
    when the ledger could not take it: then it is kept and goes out later. They raise SlotTaken and
    InvalidEvent, and with ``strict`` whatever the ledger raises.
    """

    def __init__(
        self, feed: Feed, options: RunOptions, children: Callable[..., AbstractAsyncContextManager["Run"]]
    ) -> None:
        self._children = children
        self.run_id = feed.run_id
        self.kind = feed.spec.kind
        self._feed = feed
        self._options = options
        self._asked = False
        self._over = False
        if not options.raise_on_cancel:
            # The hot call goes straight into the sums, without this object in between.
            self.advance = feed.merge.advance  # type: ignore[method-assign]

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked the run to stop. Leave the run after that, and it ends ``cancelled``."""
        requested = self._feed.cancel_requested
        self._asked = self._asked or requested
        return requested

    @property
    def ended_by_others(self) -> str | None:
        """The status in which others ended the run, None while they did not; nothing is recorded any more."""
        return self._feed.ended_by_others

    @property
    def statistics(self) -> FeedStatistics:
        """What became of what was said."""
        return self._feed.statistics

    def advance(
        self, n: int = 1, counts: Mapping[str, int] | None = None, message: str | None = None
    ) -> None:
        """Add ``n`` done and ``counts`` to the counts: merged in memory, sent a few times a second.

        Never waits, never raises for a fault of the ledger, may be called from any thread. A negative or
        fractional number is ignored and logged (raises ValueError with ``strict``).
        """
        self._check()
        self._feed.merge.advance(n, counts, message)

    def set(
        self,
        done: int,
        total: int | None | UnsetType = UNSET,
        *,
        counts: Mapping[str, int] | None = None,
        message: str | None = None,
    ) -> None:
        """Say where the job stands, as :meth:`advance` says how far it went. Fits (done, total) callbacks."""
        self._check()
        self._feed.merge.set(done, total, counts=counts, message=message)

    async def tick(
        self,
        advance: int | None = None,
        *,
        done: int | None = None,
        total: int | None | UnsetType = UNSET,
        counts: Mapping[str, int] | None = None,
        message: str | None = None,
    ) -> Receipt | None:
        """Append exactly one ``ticked`` event, now: ``advance`` more (1 when nothing is said) or ``done``."""
        return await self.say(make_tick(advance, done=done, total=total, counts=counts, message=message))

    def stage(
        self, name: str, total: int | None | UnsetType = UNSET, *, message: str | None = None
    ) -> StageEntry:
        """Begin a stage: ``async with run.stage("load", total=9):`` or ``await run.stage("load")``."""
        return StageEntry(self, StageChanged(stage=name, total=total, message=text_or_none(message)))

    async def start(self) -> Receipt | None:
        """Begin the work of a queued run. The first tick or stage does it as well."""
        return await self.say(Started())

    async def note(
        self, message: str, *, level: Level | None = None, link: str | None = None
    ) -> Receipt | None:
        """Record something worth reading."""
        return await self.say(Noted(message=plain_text(message), level=level, link=link))

    async def total(self, total: int | None) -> Receipt | None:
        """The total is this now; None: unknown."""
        return await self.say(TotalChanged(total=total))

    async def rewind(self, done: int, *, reason: str | None = None) -> Receipt | None:
        """Work was undone: go down to ``done``."""
        return await self.say(Rewound(done=done, reason=text_or_none(reason)))

    async def heartbeat(self) -> Receipt | None:
        """The producer lives. With a lease this is said without your help."""
        return await self.say(Heartbeat())

    async def pause(self, reason: str | None = None) -> Receipt | None:
        """Work stands still on purpose; what :meth:`advance` says meanwhile goes out on resume."""
        return await self.say(Paused(reason=text_or_none(reason)))

    async def resume(self, reason: str | None = None) -> Receipt | None:
        """Work goes on."""
        return await self.say(Resumed(reason=text_or_none(reason)))

    async def complete(self, message: str | None = None, result: object = None) -> Receipt | None:
        """End the run as ``completed``; leaving it then ends nothing more."""
        return await self.end(Completed(message=text_or_none(message), result=result))

    async def fail(self, error: object, message: str | None = None) -> Receipt | None:
        """End the run as ``failed``. The text of the error is cut to 4,000 characters."""
        return await self.end(Failed(error=plain_text(error), message=text_or_none(message)))

    async def cancel(self, reason: str | None = None) -> Receipt | None:
        """End the run as ``cancelled``."""
        return await self.end(Cancelled(reason=text_or_none(reason)))

    def child(self, kind: str, **options: Any) -> AbstractAsyncContextManager["Run"]:
        """A run that is part of this one: as ``ledger.run`` with ``parent=``."""
        return self._children(kind, **({"parent": self.run_id} | options))

    # ── for the package ─────────────────────────────────────────────────────────────────────────────────

    async def say(self, payload: Payload) -> Receipt | None:
        """Append one event now."""
        self._check()
        return await self._say(payload)

    async def end(self, payload: Payload) -> Receipt | None:
        """Append the terminal event, the first one only, and wait for it as long as ``patience`` says."""
        if self._over:
            return None
        self._over = True
        try:
            return await self._say(payload, timeout=self._options.patience)
        except (InvalidEvent, TooLarge):
            self._over = False  # it was no end, and leaving makes one
            raise

    async def leave(self, error: BaseException | None) -> None:
        """End the run as its body ended, or let an attached one go. Shielded from cancellation."""
        with anyio.CancelScope(shield=True):
            try:
                if not self._options.attach:
                    asked = self._asked and self._feed.cancel_requested
                    reason = self._feed.cancel_reason
                    await self.end(how_it_ended(error, asked=asked, reason=reason))
            except LedgerError as fault:
                # The job's own exception goes first; the run's status says the rest.
                if error is None and not (self._asked and isinstance(fault, RunCancelled)):
                    raise
            finally:
                self._feed.close()
                with anyio.move_on_after(self._options.patience):
                    await self._feed.done.wait()

    async def _say(self, payload: Payload, *, timeout: float | None = None) -> Receipt | None:
        draft = draft_event(payload)
        if self._feed.done.is_set():
            return self._outcome(None, Closed() if self._feed.refusal is None else self._feed.refusal)
        answer: asyncio.Future[tuple[Receipt | None, LedgerError | None]]
        answer = asyncio.get_running_loop().create_future()

        def reply(receipt: Receipt | None, error: LedgerError | None) -> None:
            if not answer.done():
                answer.set_result((receipt, error))

        self._feed.post(payload, reply, draft=draft)
        try:
            async with asyncio.timeout(timeout):
                receipt, error = await answer
        except TimeoutError:
            receipt, error = None, self._feed.error
        return self._outcome(receipt, error)

    def _outcome(self, receipt: Receipt | None, error: LedgerError | None) -> Receipt | None:
        if isinstance(error, SlotTaken | RunExists) or (error is not None and self._options.strict):
            raise error
        return receipt

    def _check(self) -> None:
        if self._options.raise_on_cancel and self._feed.cancel_requested and not self._over:
            self._asked = True
            raise RunCancelled(self.run_id, self._feed.cancel_reason)
        if self._options.strict and self._feed.ended_by_others is not None:
            raise RunEnded(self.run_id, self._feed.ended_by_others)


@asynccontextmanager
async def run(
    sink: Sink,
    watch: Watch,
    kind: str,
    *,
    run_id: str | None = None,
    attach: bool = False,
    queued: bool = False,
    strict: bool = False,
    raise_on_cancel: bool = False,
    interval: float = 0.25,
    patience: float = 5.0,
    **spec: Any,
) -> AsyncGenerator[Run, None]:
    """What :meth:`.Ledger.run` does, on any sink."""
    options = RunOptions(
        attach=attach,
        queued=queued,
        strict=strict,
        raise_on_cancel=raise_on_cancel,
        interval=interval,
        patience=patience,
    )
    opened = await open_feed(sink, watch, make_spec(kind, **spec), run_id, options)

    def child(kind: str, **options: Any) -> AbstractAsyncContextManager[Run]:
        return run(sink, watch, kind, **options)

    current = Run(opened, options, child)
    try:
        yield current
    except BaseException as error:
        await current.leave(error)
        raise
    await current.leave(None)


async def open_feed(sink: Sink, watch: Watch, spec: RunSpec, run_id: str | None, options: RunOptions) -> Feed:
    """A feed whose run is created or joined, and which sends. Raises what :meth:`.Feed.begin` raises."""
    if run_id is None:
        if options.attach:
            raise ValueError("attach=True joins an active run: name it with run_id=.")
        run_id = new_run_id()
    feed = Feed(
        sink,
        check_run_id(run_id),
        spec,
        queued=options.queued,
        attach=options.attach,
        strict=options.strict,
        interval=options.interval,
    )
    await feed.begin()
    watch.add(feed)
    return feed
