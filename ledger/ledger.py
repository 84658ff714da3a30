"""The ledger as its users hold it: a log, its writer, and the producers' way in."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast, get_args

import anyio
from anyio.abc import TaskGroup

from . import codec
from .door import Draft, check_run_id, draft_event, draft_run
from .errors import InvalidEvent, LedgerError, Pruned, SlotTaken
from .events import CancelRequested, Payload, RunSpec
from .ids import new_run_id
from .liveness.owner import default_name, is_dead, parse_owner
from .liveness.sweeper import Sweeper, interrupt_dead
from .log import Accepted, Append, EventLog
from .memory import MemoryLog
from .producers.once import run_once
from .producers.reporting import Reporting
from .producers.run import Run
from .producers.sink import Created, News
from .producers.watch import Watch
from .sqlite import SQLiteLog
from .sqlite.file import Durability
from .writer import Listener, Writer, WriterStatistics

__all__ = ("FLUSH_SECONDS", "Ledger", "open_log")


FLUSH_SECONDS = 5.0
"""How long closing the ledger waits for what its producers still have to say."""

_NEWEST = 1_000


def _drafted(event: Payload | Draft) -> Draft:
    return event if type(event) is Draft else draft_event(cast("Payload", event))


@asynccontextmanager
async def open_log(
    path: str | Path,
    *,
    durability: Durability = "power",
    busy_timeout: float = 5.0,
    read_only: bool = False,
    clock: Callable[[], float] = time.time,
) -> AsyncGenerator[EventLog, None]:
    """The engine for ``path``: a SQLite file, or for ``":memory:"`` one that is lost with the process.

    Raises what :meth:`Ledger.open` raises.
    """
    if durability not in get_args(Durability):
        raise ValueError(f"durability must be 'power' or 'process', not {durability!r}.")
    if str(path) == ":memory:":
        memory = MemoryLog()
        try:
            yield memory
        finally:
            await memory.close()
        return
    async with SQLiteLog.open(
        path, durability=durability, busy_timeout=busy_timeout, read_only=read_only, now=clock()
    ) as log:
        yield log


class Ledger(Reporting):
    """An open ledger: append events, read them back, report a job as a run.

    One task writes for all; everything here may be called from any task of the event loop that opened it.
    """

    answers_may_get_lost = False
    """What raises Unavailable stored nothing."""

    def __init__(
        self, log: EventLog, writer: Writer, tasks: TaskGroup, *, owner: str, clock: Callable[[], float]
    ) -> None:
        self.log = log
        self.owner = owner
        self.clock = clock
        self._writer = writer
        self._watch = Watch(self, tasks.start_soon)
        self._looked_at = -1

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | Path,
        *,
        durability: Durability = "power",
        busy_timeout: float = 5.0,
        read_only: bool = False,
        owner: str | None = None,
        sweep: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> AsyncGenerator["Ledger", None]:
        """The ledger in ``path``, created when there is none.

        With ``durability="power"`` a receipt means that the event survives the loss of power; with
        ``"process"`` it survives the death of every process, but the last commits may be lost when the
        machine crashes. ``busy_timeout`` is how many seconds to wait for other processes. On leaving,
        what was handed over is on disk and the file is closed.

        ``owner`` names whose runs these are, by default this machine. Unless ``sweep`` is False, opening
        interrupts the active runs of dead processes of this owner, and while it is open those whose leases
        run out.

        Raises NotALedger, NewerLedger, ReadOnly, Locked, DiskFull or Unavailable, and ValueError for another
        ``durability``.
        """
        async with open_log(
            path, durability=durability, busy_timeout=busy_timeout, read_only=read_only, clock=clock
        ) as log:
            writer = Writer(log, clock)
            failed: BaseException | None = None
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writer.run)
                ledger = cls(log, writer, tasks, owner=owner or default_name(), clock=clock)
                sweeper = Sweeper(ledger)
                if sweep and not read_only:
                    await interrupt_dead(ledger, ledger.owner)
                    tasks.start_soon(sweeper.run)
                try:
                    yield ledger
                except asyncio.CancelledError:
                    raise
                except BaseException as error:
                    # Raised below: a task group would wrap the caller's exception into a group.
                    failed = error
                finally:
                    sweeper.stop()
                    await ledger._watch.close(FLUSH_SECONDS)
                    writer.close()
            if failed is not None:
                raise failed

    @property
    def epoch(self) -> str:
        """The log's random id."""
        return self.log.epoch

    @property
    def statistics(self) -> WriterStatistics:
        """What the writer has done since the ledger was opened."""
        return self._writer.statistics

    @property
    def busy(self) -> bool:
        """Whether something is written or waits for it; what is not urgent then leaves the loop alone."""
        return self._writer.busy

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` after every commit of this process, before its receipts. Returns its stop."""
        return self._writer.listen(listener)

    def observe_commits(self, observer: Callable[[int, float], None]) -> None:
        """Call ``observer(events, seconds)`` after every commit, for metrics."""
        self._writer.observe(observer)

    async def create(self, spec: RunSpec, *, run_id: str | None = None, queued: bool = False) -> Created:
        """Begin a run, ``running`` or ``queued``; durable on return.

        The same id with the same spec again is answered like the first time. A slot whose holder's process
        is gone is free: that run is interrupted first.

        Raises InvalidRun, TooLarge, RunExists, SlotTaken or Unavailable.
        """
        run_id = new_run_id() if run_id is None else check_run_id(run_id)
        draft = draft_run(spec, queued=queued)
        request = Append(run_id=run_id, drafts=[draft], create=True)
        try:
            accepted = await self._one(request)
        except SlotTaken as taken:
            owner = parse_owner(taken.run.owner)
            if owner.incarnation is None or not is_dead(owner.incarnation):
                raise
            # The holder's process is gone for certain: nobody else would ever end that run.
            await interrupt_dead(self, owner.name)
            accepted = await self._one(request)
        return Created(run_id, accepted.receipts[0], accepted.appended > 0)

    def run_once(
        self, name: str, *, kind: str = "once", **options: Any
    ) -> AbstractAsyncContextManager[Run | None]:
        """Do a job once, over all processes and restarts: ``async with ledger.run_once("add_index") as run``.

        ``run`` is None when a run of this ``kind`` and ``name`` (its scope) completed before: leave the job
        alone. Otherwise it is open, recorded and the only one. What failed, was cancelled or died is tried
        again, as the next attempt. ``options`` are those of :meth:`run`, save ``scope``, ``slot``,
        ``retry_of`` and ``strict``.

        Entering raises SlotTaken while another process is at it, and whatever else keeps the run from being
        recorded; so does leaving, when its end could not be written.
        """
        return run_once(self.log, self.run, name, kind=kind, **options)

    async def append(
        self, run_id: str, events: Sequence[Payload | Draft], *, expected_version: int | None = None
    ) -> Accepted:
        """Append all of ``events`` to one run, or nothing; durable on return.

        Raises InvalidRun (the id), InvalidEvent, TooLarge, RunNotFound, RunEnded, VersionConflict,
        EventIdConflict, InvalidTransition, SlotTaken or Unavailable.
        """
        check_run_id(run_id)
        if expected_version is not None and (type(expected_version) is not int or expected_version < 0):
            raise InvalidEvent("expected_version must be an integer from 0.", field="expected_version")
        drafts = list(map(_drafted, events))
        request = Append(run_id=run_id, drafts=drafts, expected_version=expected_version)
        if self._writer.full:
            await self._writer.room()
        # Without a coroutine in between: this is the way of every tick.
        (outcome,) = await self._writer.send((request,))
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome

    async def append_many(self, requests: Sequence[Append]) -> list[Accepted | LedgerError]:
        """Requests that stand alone, in one transaction: what became of each, in order.

        Raises InvalidRun for an id that cannot be a run's, and Unavailable; nothing of any was stored then.
        """
        for request in requests:
            check_run_id(request.run_id)
        return await self._writer.append(requests)

    async def look(self, since: Mapping[str, int]) -> dict[str, News]:
        """What is new in runs that moved beyond a version: see :class:`~.producers.sink.Sink`."""
        position = await self.log.head()
        if position == self._looked_at:
            return {}
        heads = await self.log.runs_by_id(since)
        news: dict[str, News] = {}
        for run_id, head in heads.items():
            asked: CancelRequested | None = None
            if head.version > since[run_id]:
                try:
                    page = await self.log.read_run(
                        run_id, after=max(since[run_id], head.version - _NEWEST), limit=_NEWEST
                    )
                except Pruned:
                    page = []
                for stored in page:
                    if stored.body is not None:
                        data = codec.decode(stored.body, stored.position).data
                        asked = data if isinstance(data, CancelRequested) else asked
            news[run_id] = News(head.status, head.version, asked is not None, asked.reason if asked else None)
        if len(since) == len(heads):
            self._looked_at = position
        return news

    async def _one(self, request: Append) -> Accepted:
        (outcome,) = await self._writer.append((request,))
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome
