"""A long fold from zero, shared out to several processors.

Python folds on one processor at a time, and runs of different kinds have nothing to say to each other: what
a run is expected to be comes from the history of its own kind. So each of some processes folds the runs of
its share of the kinds, and what comes out is the same as from one.
"""

import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL

import anyio
import msgspec
from anyio.abc import ByteReceiveStream
from anyio.streams.buffered import BufferedByteReceiveStream

from progress_ledger.ledger.log import Document, EventLog
from progress_ledger.ledger.sqlite import SQLiteLog

from .histories import MAX_KINDS
from .part import Folded, Order, read_folded
from .states import Ends, States

__all__ = ("Keep", "MOST_PARTS", "PART_EVENTS", "fold_from_zero", "share_out")

_logger = logging.getLogger("progress_ledger.projections")

PART_EVENTS = 200_000
"""Fewer events are not worth a process, which takes as long to start as 150,000 of them to fold."""

MOST_PARTS = 4
"""However many processors there are: others want to run, too."""

_EVEN = 0.75  # of all events, the most that one part may have: else the others would not shorten it by much
_KINDS = "SELECT kind, sum(version) FROM run GROUP BY kind"

_NONE: Ends = {}

Keep = Callable[[Sequence[Document], Sequence[Document]], Awaitable[None]]
"""Takes ended runs' states and long runs' marks, and keeps them beside the log."""


async def fold_from_zero(log: EventLog, through: int, *, keep: Keep, gone: Ends = _NONE) -> States:
    """The states as of ``through``, folded by other processes; what ended on the way went to ``keep``.

    As of zero, with nothing folded, when they would not be done sooner or cannot do it: fold it here then.
    ``gone`` are the summaries of pruned runs, by the position of their end.
    """
    states = States()
    if not isinstance(log, SQLiteLog) or through < 2 * PART_EVENTS or not _is_python(sys.executable):
        return states
    events = dict(await log.on_reader(lambda file: file.execute(_KINDS).fetchall()))
    shares = share_out(events, min(MOST_PARTS, _processors(), through // PART_EVENTS))
    if len(shares) < 2:
        return states
    folded: list[Folded] = []
    failed: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            for kinds in shares:
                order = Order(str(log.path), through, kinds, dict(gone))
                tasks.start_soon(_fold, order, keep, folded.append)
        for part in folded:
            states.adopt(part.active, part.histories)
    except* (OSError, ValueError, anyio.IncompleteRead, msgspec.MsgspecError) as group:
        failed = group.exceptions[0]
    if failed is not None:
        _logger.warning("a long fold could not be shared out, so it takes longer: %r", failed)
        return States()
    states.position = through
    return states


def share_out(events: Mapping[str, int], parts: int) -> list[list[str]]:
    """The kinds in at most ``parts`` shares with about as many events each; one share where that fails."""
    shares: list[list[str]] = [[] for _ in range(max(1, parts))]
    loads = [0] * len(shares)
    for kind in sorted(events, key=lambda kind: (-events[kind], kind)):
        least = loads.index(min(loads))
        shares[least].append(kind)
        loads[least] += events[kind]
    # Which kinds have a history depends on all of them once they are too many to be remembered.
    if len(events) > MAX_KINDS or max(loads) > _EVEN * sum(loads):
        return [list(events)]
    return [share for share in shares if share]


async def _fold(order: Order, keep: Keep, done: Callable[[Folded], None]) -> None:
    command = (sys.executable, "-P", "-m", "progress_ledger.projections.part")
    # What this process can import, the other one can, too.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    async with await anyio.open_process(command, stderr=DEVNULL, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(anyio.BrokenResourceError):  # it said what it has to say by ending
            await process.stdin.send(msgspec.msgpack.encode(order))
        await process.stdin.aclose()
        done(await _take(process.stdout, keep))


async def _take(stream: ByteReceiveStream, keep: Keep) -> Folded:
    buffered = BufferedByteReceiveStream(stream)
    while True:
        size = int.from_bytes(await buffered.receive_exactly(4), "big")
        folded = read_folded(await buffered.receive_exactly(size))
        await keep(folded.ended, folded.marks)
        if folded.whole:
            return folded


def _is_python(executable: str | None) -> bool:
    # A program that has Python built in must not be started a second time for this.
    name = Path(executable or "").name
    return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
