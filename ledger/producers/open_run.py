"""A job as a run, without an event loop and from any thread: ``with open_run("backup") as run``."""

import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any

from msgspec import UNSET, UnsetType

from ..door import check_run_id
from ..errors import InvalidEvent, LedgerError, RunCancelled, RunEnded, RunExists, SlotTaken, TooLarge
from ..events import (
    Cancelled,
    Completed,
    Failed,
    Heartbeat,
    Interrupted,
    Level,
    Noted,
    Paused,
    Payload,
    Resumed,
    Rewound,
    RunSpec,
    Stage,
    StageChanged,
    Started,
    TotalChanged,
)
from ..ids import new_run_id
from ..log import Receipt
from .ending import how_it_ended
from .feed import FeedStatistics
from .line import Line
from .merge import plain_text
from .options import DEFAULT_LEASE, RunOptions, make_spec, make_tick, text_or_none
from .target import Target, choose_target

__all__ = ("OpenRun", "open_line", "open_run")


class OpenRun:
    """An open run, for threads. What :class:`~.run.Run` awaits, this blocks for.

    In a forked child it counts on as an attached run, and so does a pickled copy in another process: what
    is said there is added to the same run, and leaving it there ends nothing.
    """

    def __init__(self, line: Line) -> None:
        self.run_id = line.run_id
        self.kind = line.spec.kind
        self._line = line
        self._asked = False
        self._over = False
        self._lock = threading.Lock()
        if not line.options.raise_on_cancel:
            # The hot call goes straight into the sums, without this object in between.
            self.advance = line.merge.advance  # type: ignore[method-assign]

    def __enter__(self) -> "OpenRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave(error)

    def __reduce__(self) -> tuple[Any, ...]:
        return _join, (self._line.target, self.run_id, self.kind)

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked the run to stop. Leave the run after that, and it ends ``cancelled``."""
        feed = self._line.feed
        requested = feed is not None and feed.cancel_requested
        self._asked = self._asked or requested
        return requested

    @property
    def ended_by_others(self) -> str | None:
        """The status in which others ended the run, None while they did not; nothing is recorded any more."""
        feed = self._line.feed
        return None if feed is None else feed.ended_by_others

    @property
    def statistics(self) -> FeedStatistics:
        """What became of what was said."""
        feed = self._line.feed
        return FeedStatistics(0, 0, 0, 0, 0, 0) if feed is None else feed.statistics

    def advance(
        self, n: int = 1, counts: Mapping[str, int] | None = None, message: str | None = None
    ) -> None:
        """Add ``n`` done and ``counts`` to the counts: merged in memory, sent a few times a second.

        Never waits, never raises for a fault of the ledger, may be called from any thread. A negative or
        fractional number is ignored and logged (raises ValueError with ``strict``).
        """
        self._check()
        self._line.merge.advance(n, counts, message)

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
        self._line.merge.set(done, total, counts=counts, message=message)

    def tick(
        self,
        advance: int | None = None,
        *,
        done: int | None = None,
        total: int | None | UnsetType = UNSET,
        counts: Mapping[str, int] | None = None,
        message: str | None = None,
    ) -> Receipt | None:
        """Append exactly one ``ticked`` event, now: ``advance`` more (1 when nothing is said) or ``done``."""
        return self.say(make_tick(advance, done=done, total=total, counts=counts, message=message))

    def stage(
        self, name: str, total: int | None | UnsetType = UNSET, *, message: str | None = None
    ) -> AbstractContextManager["OpenRun"]:
        """Begin a stage, now. May be the object of a ``with``, for the eye."""
        self.say(StageChanged(stage=name, total=total, message=text_or_none(message)))
        return _unchanged(self)

    def start(self) -> Receipt | None:
        """Begin the work of a queued run. The first tick or stage does it as well."""
        return self.say(Started())

    def note(self, message: str, *, level: Level | None = None, link: str | None = None) -> Receipt | None:
        """Record something worth reading."""
        return self.say(Noted(message=plain_text(message), level=level, link=link))

    def total(self, total: int | None) -> Receipt | None:
        """The total is this now; None: unknown."""
        return self.say(TotalChanged(total=total))

    def rewind(self, done: int, *, reason: str | None = None) -> Receipt | None:
        """Work was undone: go down to ``done``."""
        return self.say(Rewound(done=done, reason=text_or_none(reason)))

    def heartbeat(self) -> Receipt | None:
        """The producer lives. With a lease this is said without your help."""
        return self.say(Heartbeat())

    def pause(self, reason: str | None = None) -> Receipt | None:
        """Work stands still on purpose; what :meth:`advance` says meanwhile goes out on resume."""
        return self.say(Paused(reason=text_or_none(reason)))

    def resume(self, reason: str | None = None) -> Receipt | None:
        """Work goes on."""
        return self.say(Resumed(reason=text_or_none(reason)))

    def complete(self, message: str | None = None, result: object = None) -> Receipt | None:
        """End the run as ``completed``; leaving it then ends nothing more."""
        return self.end(Completed(message=text_or_none(message), result=result))

    def fail(self, error: object, message: str | None = None) -> Receipt | None:
        """End the run as ``failed``. The text of the error is cut to 4,000 characters."""
        return self.end(Failed(error=plain_text(error), message=text_or_none(message)))

    def cancel(self, reason: str | None = None) -> Receipt | None:
        """End the run as ``cancelled``."""
        return self.end(Cancelled(reason=text_or_none(reason)))

    def interrupt(self, reason: str) -> Receipt | None:
        """End the run as ``interrupted``: it was left, and nobody says that it failed."""
        return self.end(Interrupted(reason=plain_text(reason)))

    def child(self, kind: str, **options: Any) -> "OpenRun":
        """A run that is part of this one: as :func:`open_run` with ``parent=``, in the same ledger."""
        options = {"parent": self.run_id, "ledger": self._line.target, **options}
        return open_run(kind, **options)

    def flush(self) -> None:
        """Wait until what was said is written, or kept for a ledger that is away."""
        self._line.flush()

    def close(self) -> None:
        """Leave the run as completed, or let go of an attached one."""
        self.leave(None)

    # ── for the package ─────────────────────────────────────────────────────────────────────────────────

    def say(self, payload: Payload) -> Receipt | None:
        """Append one event now."""
        self._check()
        return self._outcome(*self._line.say(payload))

    def post(self, payload: Payload) -> None:
        """Append one event as soon as can be, without waiting for it."""
        self._line.post(payload)

    def end(self, payload: Payload) -> Receipt | None:
        """Append the terminal event, the first one only, and wait for it as long as ``patience`` says."""
        with self._lock:
            if self._over:
                return None
            self._over = True
        try:
            return self._outcome(*self._line.say(payload, self._line.options.patience))
        except (InvalidEvent, TooLarge):
            self._over = False  # it was no end, and leaving makes one
            raise

    def leave(self, error: BaseException | None) -> None:
        """End the run as its body ended, or let an attached one go."""
        try:
            feed = self._line.feed
            if self._line.owns and not self._over:
                asked = self._asked and feed is not None and feed.cancel_requested
                reason = feed.cancel_reason if feed is not None else None
                self.end(how_it_ended(error, asked=asked, reason=reason))
        except LedgerError:
            # The job's own exception goes first; the run's status says the rest.
            if error is None:
                raise
        finally:
            self._line.close()

    def _outcome(self, receipt: Receipt | None, error: LedgerError | None) -> Receipt | None:
        if isinstance(error, SlotTaken | RunExists) or (error is not None and self._line.options.strict):
            raise error
        return receipt

    def _check(self) -> None:
        feed, options = self._line.feed, self._line.options
        if feed is None:
            return
        if options.raise_on_cancel and feed.cancel_requested and not self._over:
            self._asked = True
            raise RunCancelled(self.run_id, feed.cancel_reason)
        if options.strict and feed.ended_by_others is not None:
            raise RunEnded(self.run_id, feed.ended_by_others)


class _DisabledRun(OpenRun):
    def __init__(self, kind: str, run_id: str) -> None:
        self.run_id = run_id
        self.kind = kind

    @property
    def cancel_requested(self) -> bool:
        return False

    @property
    def ended_by_others(self) -> None:
        return None

    @property
    def statistics(self) -> FeedStatistics:
        return FeedStatistics(0, 0, 0, 0, 0, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return _DisabledRun, (self.kind, self.run_id)

    def advance(self, n: object = 1, counts: object = None, message: object = None) -> None:
        return None

    def set(
        self, done: object, total: object = None, *, counts: object = None, message: object = None
    ) -> None:
        return None

    def child(self, kind: str, **options: Any) -> OpenRun:
        return _DisabledRun(kind, new_run_id())

    def say(self, payload: Payload) -> None:
        return None

    def post(self, payload: Payload) -> None:
        return None

    def end(self, payload: Payload) -> None:
        return None

    def flush(self) -> None:
        return None

    def leave(self, error: BaseException | None) -> None:
        return None


def open_run(
    kind: str,
    *,
    ledger: str | os.PathLike[str] | Target | None = None,
    run_id: str | None = None,
    scope: str | None = None,
    title: str | None = None,
    total: int | None = None,
    unit: str | None = None,
    stages: Sequence[str | Stage | Mapping[str, Any]] = (),
    labels: Mapping[str, str] | None = None,
    slot: str | None = None,
    owner: str | None = None,
    lease_seconds: float | None = DEFAULT_LEASE,
    stall_seconds: float | None = None,
    parent: str | None = None,
    retry_of: str | None = None,
    attach: bool = False,
    queued: bool = False,
    strict: bool = False,
    disabled: bool = False,
    raise_on_cancel: bool = False,
    interval: float = 0.25,
    patience: float = 5.0,
) -> OpenRun:
    """Report a job without an event loop: ``with open_run("backup", total=size, unit="bytes") as run``.

    ``ledger`` is a file or a server's URL; else ``PROGRESS_LEDGER_DB``, else ``PROGRESS_LEDGER_URL``, else
    ``progress.db``. The run exists when this returns; leaving it ends it: ``completed``, on an exception
    ``failed``. With ``attach`` it joins the active run ``run_id`` and ends nothing. With ``disabled``
    nothing happens at all. The other options are those of :meth:`.Ledger.run`.

    Raises SlotTaken, RunExists, InvalidRun and TooLarge, RunNotFound and RunEnded with ``attach``. A ledger
    that cannot be written fails no job: what is said is kept and goes out later. With ``strict`` every
    fault raises.
    """
    if disabled:
        return _DisabledRun(kind, run_id or new_run_id())
    options = RunOptions(
        attach=attach,
        queued=queued,
        strict=strict,
        raise_on_cancel=raise_on_cancel,
        interval=interval,
        patience=patience,
    )
    spec = make_spec(
        kind,
        scope=scope,
        title=title,
        total=total,
        unit=unit,
        stages=stages,
        labels=labels,
        slot=slot,
        owner=owner,
        lease_seconds=lease_seconds,
        stall_seconds=stall_seconds,
        parent=parent,
        retry_of=retry_of,
    )
    return OpenRun(open_line(spec, options, ledger=ledger, run_id=run_id))


def open_line(
    spec: RunSpec,
    options: RunOptions,
    *,
    ledger: str | os.PathLike[str] | Target | None,
    run_id: str | None,
    sample: Callable[[], int] | None = None,
) -> Line:
    """A line to a new run, or with ``options.attach`` to an active one. Raises as :func:`open_run`."""
    if run_id is None and options.attach:
        raise ValueError("attach=True joins an active run: name it with run_id=.")
    run_id = new_run_id() if run_id is None else check_run_id(run_id)
    return Line(choose_target(ledger), spec, run_id, options, at_exit=_left_open, sample=sample)


def _left_open(line: Line) -> None:
    if line.owns:
        line.say(Interrupted(reason="the program ended while the run was open"), line.options.patience)
    line.close()


_joined: dict[tuple[int, Target, str], OpenRun] = {}


def _join(target: Target, run_id: str, kind: str) -> OpenRun:
    # However often a handle is sent to a process, it reports through one line there.
    key = os.getpid(), target, run_id
    if key not in _joined:
        _joined[key] = open_run(kind, ledger=target, run_id=run_id, attach=True)
    return _joined[key]


@contextmanager
def _unchanged(run: OpenRun) -> Generator[OpenRun, None, None]:
    yield run
