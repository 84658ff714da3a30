"""One reader's way along a stream: what it gets first, then the tail, at its own pace.

Its own task does all that may wait, so that a slow reader waits in its own ``write`` and slows nobody. It
owns a place in the shared tail and nothing else.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.errors import Pruned
from progress_ledger.ledger.log import EventLog, RunFilter
from progress_ledger.projections import RunState, view

from . import sse
from .direct import Line
from .fanout import Fanout
from .framing import Mode
from .reader import Reader
from .replay import last_frame, missed_by_filter, missed_by_run
from .resume import Decision, decide
from .tail import Entry
from .topic import Replay, Topic

__all__ = ("Outlet", "Request", "follow", "retell", "retry_ms")

_PIECE = 65_536
_TOO_OLD = Decision("reset", "too_old", 0)
_BEHIND = Decision("reset", "behind", 0)


class Outlet(Protocol):
    """Where a stream's bytes go. ``line`` is the short way there, once it is known to hold."""

    line: Line | None

    async def write(self, chunk: bytes) -> None:
        """Send ``chunk``; waits while the reader is slow."""
        ...

    def greet(self, status: str, reason: str | None) -> None:
        """Told of each hello before it is written."""
        ...


class Request(Struct, kw_only=True):
    """What a reader asked for. ``run_id`` is None on a stream of many runs."""

    run_id: str | None
    where: RunFilter
    mode: Mode
    every: float | None
    last_event_id: str | None
    replay_limit: int
    check_seconds: float


def retry_ms() -> int:
    """How long to wait before reconnecting: a second or two, so that a crowd does not come back at once."""
    return random.randint(1_000, 3_000)


async def follow(
    request: Request,
    fanout: Fanout,
    log: EventLog,
    reader: Reader,
    outlet: Outlet,
    *,
    valid: Callable[[], bool],
) -> None:
    """Serve the stream until its run ends, the server stops, or the reader leaves.

    ``valid`` says whether the reader may still see it; when it no longer may, the stream ends.
    Nothing is awaited between the caller's look at the projector and the first step here.
    Raises Pruned and Unavailable.
    """
    topic = fanout.join(request.where, request.mode, request.every, reader)
    try:
        await _Following(request, fanout, log, reader, outlet, topic).run(valid)
    finally:
        fanout.leave(topic, reader)


async def retell(
    request: Request, fanout: Fanout, log: EventLog, state: RunState, outlet: Outlet, decision: Decision
) -> None:
    """The stream of a run that is over: what was missed, or its snapshot and terminal frame.

    Raises Pruned and Unavailable.
    """
    entries: list[Entry] | None = None
    if decision.status == "resumed":
        entries = await missed_by_run(
            log,
            fanout.projector,
            state,
            after=decision.position,
            through=state.position,
            limit=request.replay_limit,
            mode=request.mode,
        )
        if entries is None:
            decision = _TOO_OLD
    frames = [_hello(fanout, outlet, decision)]
    if entries is None:
        # Without an id: whoever is cut off here must still come back for the terminal frame.
        snapshot = view(state, fanout.clock())
        frames.append(sse.frame("snapshot", b'{"run":%b}' % ascii_json(snapshot)))
        last = await last_frame(log, state, mode=request.mode)
        entries = [] if last is None else [last]
    frames.extend(entry.frame for entry in entries if request.every is None or entry.final)
    await _write_all(outlet, frames)


class _Following:
    def __init__(
        self, request: Request, fanout: Fanout, log: EventLog, reader: Reader, outlet: Outlet, topic: Topic
    ) -> None:
        self.request = request
        self.fanout = fanout
        self.projector = fanout.projector
        self.log = log
        self.reader = reader
        self.outlet = outlet
        self.topic = topic
        self.ended = False
        self._time = asyncio.get_running_loop().time
        reader.place = topic.tail.end

    async def run(self, valid: Callable[[], bool]) -> None:
        await self._begin()
        reader = self.reader
        reader.line = self.outlet.line
        while not self.ended and not self._gone() and valid():
            if await self._news():
                continue
            if self.fanout.draining:
                await self.outlet.write(sse.drain(retry_ms=retry_ms()))
                return
            now = self._time()
            if now >= reader.due:
                if self._is_over():
                    await self._reset(_BEHIND)
                    continue
                await self._write(sse.KEEP_ALIVE)
                continue
            reader.check = now + self.request.check_seconds
            await reader.wait()

    def _gone(self) -> bool:
        wire = self.reader.wire
        if wire is not None and wire.closed:
            self.reader.gone = True
        return self.reader.gone

    # ── the beginning ───────────────────────────────────────────────────────────────────────────────────

    async def _begin(self) -> None:
        decision = decide(self.request.last_event_id, epoch=self.fanout.epoch, head=self.projector.position)
        if decision.status == "resumed":
            if await self._resume(decision):
                return
            decision = _TOO_OLD
        await self._reset(decision)

    async def _resume(self, decision: Decision) -> bool:
        # From memory when the tail reaches back far enough, else from the log up to where the tail goes on.
        tail = self.topic.tail
        missed: Sequence[Entry] = ()
        place = tail.place_after(decision.position)
        if place is None:
            replay = await self._replay(decision.position)
            if replay is None or (place := tail.place_after(replay.through)) is None:
                return False
            missed = replay.since(decision.position)
        # No await from here to the hello, so that the tail does not move on.
        most = self.request.replay_limit
        if self.request.every is not None or len(missed) + tail.end - place > most:
            everything = (*missed, *(tail.since(place) or ()))
            if sum(entry.counts for entry in everything) > most:
                return False
            if self.request.every is not None:
                frames = self._conflated(everything)
                await self._write_all(_hello(self.fanout, self.outlet, decision), frames)
                return True
        self.reader.place = place
        self.ended = self.reader.alone and bool(missed) and missed[-1].final
        hello = _hello(self.fanout, self.outlet, decision)
        await self._write_all(hello, [entry.frame for entry in missed])
        return True

    async def _replay(self, position: int) -> Replay | None:
        topic = self.topic
        async with topic.reading:
            kept = topic.replay
            if kept is None or kept.after > position or topic.tail.place_after(kept.through) is None:
                through = self.projector.position
                after = position
                entries: list[Entry] | None = None
                if kept is not None and kept.after > position:
                    # One of a crowd, from further back than the last: read twice as far, or each of them
                    # in turn would read the log again, from one event before the other.
                    after = max(0, 2 * position - through)
                    entries = await self._missed(after, through)
                if entries is None:
                    after = position
                    entries = await self._missed(position, through)
                if entries is None:
                    return None
                kept = topic.replay = Replay(after, through, entries, self.fanout.clock())
            return kept

    async def _missed(self, after: int, through: int) -> list[Entry] | None:
        if self.request.run_id is None:
            return await missed_by_filter(
                self.log,
                self.projector,
                self.request.where,
                after=after,
                through=through,
                limit=self.request.replay_limit,
                mode=self.request.mode,
            )
        state = self.projector.peek(self.request.run_id)
        if state is None:
            return None
        return await missed_by_run(
            self.log,
            self.projector,
            state,
            after=after,
            through=through,
            limit=self.request.replay_limit,
            mode=self.request.mode,
        )

    def _conflated(self, missed: Iterable[Entry]) -> list[bytes]:
        # One frame for each run that changed: its terminal frame, or the newest snapshot.
        self.reader.place = self.topic.tail.end
        last: dict[str, Entry] = {}
        for entry in missed:
            # In the order of the newest, so that the last one has the place to come back to.
            last.pop(entry.run_id, None)
            last[entry.run_id] = entry
        if self.topic.conflation is not None:
            for run_id in self.topic.conflation.withheld:
                last.setdefault(run_id, Entry(0, run_id, b""))
        frames: list[bytes] = []
        final: list[bytes] = []
        for entry in last.values():
            state = self.projector.peek(entry.run_id)
            if entry.final:
                final.append(entry.frame)
            elif state is not None:
                frames.append(self.fanout.snapshot_frame(state))
        self.ended = self.reader.alone and bool(final)
        if final:
            return [*frames, *(sse.without_id(frame) for frame in final[:-1]), final[-1]]
        if frames:
            frames[-1] = sse.with_id(frames[-1], sse.event_id(self.fanout.epoch, self._taken_at()))
        return frames

    async def _reset(self, decision: Decision) -> None:
        if self._is_over():
            await self._conclude(decision)
            return
        hello = _hello(self.fanout, self.outlet, decision)
        if decision.reason == "behind" and not self.reader.alone:
            # Its runs that ended meanwhile are in no snapshot: what became of them is told all the same.
            await self._write(hello)
            hello = b""
            since = self.reader.place
            while ended := self.topic.ended_since(since):
                since = self.topic.tail.end
                await self._tell_ends(ended)
        # The snapshots and the place in the tail are taken at one moment: no await in between.
        self.reader.place = self.topic.tail.end
        await self._write_all(hello, self._snapshots())

    def _is_over(self) -> bool:
        if self.request.run_id is None:
            return False
        state = self.projector.peek(self.request.run_id)
        return state is None or state.finished_at is not None

    async def _conclude(self, decision: Decision) -> None:
        # The run ended, and maybe long ago, while its reader stood still.
        self.ended = True
        assert self.request.run_id is not None
        state = await self.projector.state(self.request.run_id)
        if state is not None:
            await retell(self.request, self.fanout, self.log, state, self.outlet, decision)

    async def _tell_ends(self, run_ids: Sequence[str]) -> None:
        for start in range(0, len(run_ids), 64):
            states = await self.projector.states(run_ids[start : start + 64])
            frames: list[bytes] = []
            for state in states.values():
                try:
                    last = await last_frame(self.log, state, mode="full")
                except Pruned:
                    continue
                if last is not None:
                    # Without an id: from there the snapshots that follow could be missed.
                    frames.append(sse.without_id(last.frame))
            await self._write_all(b"", frames)

    def _snapshots(self) -> list[bytes]:
        epoch = self.fanout.epoch
        if self.request.run_id is not None:
            state = self.projector.peek(self.request.run_id)
            assert state is not None
            frame = self.fanout.snapshot_frame(state)
            return [sse.with_id(frame, sse.event_id(epoch, state.position))]
        states = [state for state in self.projector.active() if self.request.where.matches(state)]
        frames = [self.fanout.snapshot_frame(state) for state in states]
        data = ascii_json({"runs": len(states)})
        frames.append(sse.frame("live", data, id=sse.event_id(epoch, self.projector.position)))
        return frames

    def _taken_at(self) -> int:
        state = None if self.request.run_id is None else self.projector.peek(self.request.run_id)
        return self.projector.position if state is None else state.position

    # ── the tail ────────────────────────────────────────────────────────────────────────────────────────

    async def _news(self) -> bool:
        reader = self.reader
        tail = self.topic.tail
        piece = tail.piece(reader.place)
        if piece is None:
            await self._reset(_BEHIND)
            return True
        if not piece.data:
            return False
        reader.place = piece.after
        self.ended = reader.alone and piece.after == tail.end and tail.final
        if reader.line is not None and reader.line.ready:
            reader.line.transport.write(piece.chunk)
            reader.due = self._time() + self.fanout.keep_alive
        else:
            await self._write(piece.data)
        return True

    async def _write(self, chunk: bytes) -> None:
        await self.outlet.write(chunk)
        self.reader.due = self._time() + self.fanout.keep_alive

    async def _write_all(self, hello: bytes, frames: Iterable[bytes]) -> None:
        await _write_all(self.outlet, [hello, *frames])
        self.reader.due = self._time() + self.fanout.keep_alive


def _hello(fanout: Fanout, outlet: Outlet, decision: Decision) -> bytes:
    fanout.greeted(decision.status, decision.reason)
    outlet.greet(decision.status, decision.reason)
    return sse.hello(
        status=decision.status,
        reason=decision.reason,
        epoch=fanout.epoch,
        head=fanout.projector.position,
        retry_ms=retry_ms(),
    )


async def _write_all(outlet: Outlet, frames: Iterable[bytes]) -> None:
    # In pieces: what a reader that stands still can make the server hold stays small.
    piece: list[bytes] = []
    size = 0
    for frame in frames:
        if piece and size + len(frame) > _PIECE:
            await outlet.write(b"".join(piece))
            piece, size = [], 0
        piece.append(frame)
        size += len(frame)
    if size:
        await outlet.write(b"".join(piece))
