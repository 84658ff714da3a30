"""The ledger as its users hold it: a log, its writer, and the producers' way in."""

import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from msgspec import Struct

from .door import Draft, check_run_id, draft_event, draft_run
from .errors import LedgerError
from .events import Payload, RunSpec
from .ids import new_run_id
from .log import Accepted, Append, EventLog, Receipt
from .memory import MemoryLog
from .sqlite import SQLiteLog
from .sqlite_file import Durability
from .writer import Listener, Writer, WriterStatistics

__all__ = ("Created", "Ledger", "open_log")


class Created(Struct, frozen=True):
    """A run that was asked for: ``appended`` is False when the same run was there already."""

    run_id: str
    receipt: Receipt
    appended: bool


@asynccontextmanager
async def open_log(
    path: str | Path,
    *,
    durability: Durability = "power",
    busy_timeout: float = 5.0,
    read_only: bool = False,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[EventLog]:
    """The engine for ``path``: a SQLite file, or for ``":memory:"`` one that is lost with the process."""
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


class Ledger:
    """An open ledger: append events, read them back, report a job as a run.

    One task writes for all; everything here may be called from any task of the event loop that opened it.
    """

    def __init__(self, log: EventLog, writer: Writer, *, owner: str, clock: Callable[[], float]) -> None:
        self.log = log
        self.owner = owner
        self.clock = clock
        self._writer = writer

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
        clock: Callable[[], float] = time.time,
    ) -> AsyncIterator["Ledger"]:
        """The ledger in ``path``, created when there is none.

        With ``durability="power"`` a receipt means that the event survives the loss of power; with
        ``"process"`` it survives the death of every process, but the last commits may be lost when the
        machine crashes. ``busy_timeout`` is how many seconds to wait for other processes. On leaving,
        what was handed over is on disk and the file is closed.

        Raises NotALedger, NewerLedger, ReadOnly, Locked, DiskFull or Unavailable.
        """
        async with open_log(
            path, durability=durability, busy_timeout=busy_timeout, read_only=read_only, clock=clock
        ) as log:
            writer = Writer(log, clock)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writer.run)
                try:
                    yield cls(log, writer, owner=owner or socket.gethostname(), clock=clock)
                finally:
                    writer.close()

    @property
    def epoch(self) -> str:
        """The log's random id."""
        return self.log.epoch

    @property
    def statistics(self) -> WriterStatistics:
        """What the writer has done since the ledger was opened."""
        return self._writer.statistics

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` after every commit of this process, before its receipts. Returns what stops it."""
        return self._writer.listen(listener)

    def observe_commits(self, observer: Callable[[int, float], None]) -> None:
        """Call ``observer(events, seconds)`` after every commit, for metrics."""
        self._writer.observe(observer)

    async def create(self, spec: RunSpec, *, run_id: str | None = None, queued: bool = False) -> Created:
        """Begin a run, ``running`` or ``queued``; durable on return.

        The same id with the same spec again is answered like the first time.
        Raises InvalidRun, TooLarge, RunExists, SlotTaken or Unavailable.
        """
        run_id = new_run_id() if run_id is None else check_run_id(run_id)
        draft = draft_run(spec, queued=queued)
        accepted = await self._one(Append(run_id=run_id, drafts=[draft], create=True))
        return Created(run_id, accepted.receipts[0], accepted.appended > 0)

    async def append(
        self, run_id: str, events: Sequence[Payload | Draft], *, expected_version: int | None = None
    ) -> Accepted:
        """Append all of ``events`` to one run, or nothing; durable on return.

        Raises InvalidRun (the id), InvalidEvent, TooLarge, RunNotFound, RunEnded, VersionConflict,
        EventIdConflict, InvalidTransition, SlotTaken or Unavailable.
        """
        check_run_id(run_id)
        drafts = [event if isinstance(event, Draft) else draft_event(event) for event in events]
        return await self._one(Append(run_id=run_id, drafts=drafts, expected_version=expected_version))

    async def append_many(self, requests: Sequence[Append]) -> list[Accepted | LedgerError]:
        """Requests that stand alone, in one transaction: what became of each, in order.

        Raises Unavailable when nothing of any was stored.
        """
        return await self._writer.append(requests)

    async def _one(self, request: Append) -> Accepted:
        (outcome,) = await self._writer.append((request,))
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome
