"""One client's way along a stream: what it gets first, then the tail, at its own pace.

The client's own task does all the work, so that a slow reader waits in its own ``send`` and slows nobody.
It owns a place in the shared tail and nothing else.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.log import EventLog, RunFilter

from . import sse
from .conflate import Pacing
from .fanout import Client, Fanout, Mode, Topic
from .replay import missed_by_filter, missed_by_run
from .resume import Decision, decide
from .tail import Entry

__all__ = ("Request", "Write", "follow", "retry_ms")

Write = Callable[[bytes], Awaitable[None]]

_CHUNK = 65_536
"""Bytes handed to the server at a time: what a reader that stands still can make it hold."""


class Request(Struct, kw_only=True):
    """What a client asked for. ``run_id`` is None on a stream of many runs."""

    run_id: str | None
    where: RunFilter
    mode: Mode
    every: float | None
    last_event_id: str | None
    replay_limit: int
    keep_alive: float


def retry_ms() -> int:
    """How long to wait before reconnecting: a second or two, so that a crowd does not come back at once."""
    return random.randint(1_000, 3_000)


async def follow(
    request: Request,
    fanout: Fanout,
    log: EventLog,
    client: Client,
    write: Write,
    *,
    valid: Callable[[], bool],
) -> None:
    """Serve the stream until its run ends, the server stops, or the client leaves.

    ``valid`` says whether the client may still see it; when it no longer may, the stream ends.
    Nothing is awaited between the caller's look at the projector and the first step here.
    """
    topic = fanout.join(request.where, request.mode, client)
    try:
        await _Following(request, fanout, log, client, write, topic).run(valid)
    finally:
        fanout.leave(topic, client)
        client.close()


class _Following:
    def __init__(
        self, request: Request, fanout: Fanout, log: EventLog, client: Client, write: Write, topic: Topic
    ) -> None:
        self.request = request
        self.fanout = fanout
        self.projector = fanout.projector
        self.log = log
        self.client = client
        self.topic = topic
        self.pacing = None if request.every is None else Pacing(request.every)
        self.place = topic.tail.end
        self.ended = False
        self._write = write
        self._time = asyncio.get_running_loop().time

    async def run(self, valid: Callable[[], bool]) -> None:
        await self._begin()
        while not self.ended and not self.client.gone and valid():
            if await self._news():
                continue
            if self.fanout.draining:
                await self._write(sse.drain(retry_ms=retry_ms()))
                return
            if self._time() >= self.client.due:
                await self._send(sse.KEEP_ALIVE)
                continue
            await self._wait()

    # ── the beginning ───────────────────────────────────────────────────────────────────────────────────

    async def _begin(self) -> None:
        decision = decide(self.request.last_event_id, epoch=self.fanout.epoch, head=self.projector.position)
        if decision.status == "resumed":
            missed = await self._missed(decision.position)
            if missed is not None:
                await self._send(self._hello(decision) + self._replayed(missed))
                return
            decision = Decision("reset", "too_old", 0)
        await self._restart(decision)

    async def _restart(self, decision: Decision) -> None:
        # The snapshots and the place in the tail are taken at one moment: no await in between.
        self.place = self.topic.tail.end
        first = self._hello(decision) + b"".join(self._snapshots())
        if self.pacing is not None:
            self.pacing = Pacing(self.pacing.every)
        if self.request.run_id is not None and self.topic.tail.final:
            self.ended = True
            since = self.topic.tail.since(self.place - 1)
            if since:
                first += since[-1].frame
        for start in range(0, len(first), _CHUNK):
            await self._send(first[start : start + _CHUNK])

    def _hello(self, decision: Decision) -> bytes:
        return sse.hello(
            status=decision.status,
            reason=decision.reason,
            epoch=self.fanout.epoch,
            head=self.projector.position,
            retry_ms=retry_ms(),
        )

    def _snapshots(self) -> list[bytes]:
        epoch = self.fanout.epoch
        if self.request.run_id is not None:
            state = self.projector.peek(self.request.run_id)
            if state is None:
                return []
            frame = self.fanout.snapshot_frame(state)
            if state.finished_at is not None:
                return [frame]
            return [sse.with_id(frame, sse.event_id(epoch, state.position))]
        states = [state for state in self.projector.active() if self.request.where.matches(state)]
        frames = [self.fanout.snapshot_frame(state) for state in states]
        data = ascii_json({"runs": len(states)})
        frames.append(sse.frame("live", data, id=sse.event_id(epoch, self.projector.position)))
        return frames

    async def _missed(self, position: int) -> list[Entry] | None:
        # From memory when the tail reaches back far enough, else from the log up to where the tail begins.
        tail = self.topic.tail
        place = tail.place_after(position)
        if place is not None:
            entries = tail.since(place) or []
            self.place = tail.end
            return entries if len(entries) <= self.request.replay_limit else None
        through = self.projector.position
        if self.request.run_id is None:
            entries_or_none = await missed_by_filter(
                self.log,
                self.projector,
                self.request.where,
                after=position,
                through=through,
                limit=self.request.replay_limit,
                mode=self.request.mode,
            )
        else:
            state = self.projector.peek(self.request.run_id)
            if state is None:
                return None
            entries_or_none = await missed_by_run(
                self.log,
                self.projector,
                state,
                after=position,
                through=through,
                limit=self.request.replay_limit,
                mode=self.request.mode,
            )
        place = tail.place_after(through)
        if entries_or_none is None or place is None:
            return None
        self.place = place
        return entries_or_none

    def _replayed(self, entries: Sequence[Entry]) -> bytes:
        if self.pacing is None:
            self.ended = self.request.run_id is not None and bool(entries) and entries[-1].final
            return b"".join(entry.frame for entry in entries)
        # One frame for each run that changed: its terminal frame, or the newest snapshot.
        last = {entry.run_id: entry for entry in entries}
        ended = [entry for entry in last.values() if entry.final]
        for run_id in last:
            self.pacing.news(run_id)
        return self._paced_frames(ended)

    # ── the tail ────────────────────────────────────────────────────────────────────────────────────────

    async def _news(self) -> bool:
        if self.pacing is not None:
            return await self._paced_news()
        piece = self.topic.tail.joined_since(self.place, max_bytes=_CHUNK) if self._behind_end() else (b"", 0)
        if piece is None:
            await self._restart(Decision("reset", "behind", 0))
            return True
        chunk, place = piece
        if not chunk:
            return False
        self.place = place
        self.ended = (
            self.request.run_id is not None and place == self.topic.tail.end and self.topic.tail.final
        )
        await self._send(chunk)
        return True

    def _behind_end(self) -> bool:
        return self.place < self.topic.tail.end

    async def _paced_news(self) -> bool:
        assert self.pacing is not None
        entries = self.topic.tail.since(self.place)
        if entries is None:
            await self._restart(Decision("reset", "behind", 0))
            return True
        self.place = self.topic.tail.end
        urgent: list[Entry] = []
        for entry in entries:
            if entry.frame:
                urgent.append(entry)
            else:
                self.pacing.news(entry.run_id)
        frames = self._paced_frames(urgent)
        if not frames:
            return False
        await self._send(frames)
        return True

    def _paced_frames(self, urgent: Sequence[Entry]) -> bytes:
        assert self.pacing is not None
        now = self._time()
        frames: list[bytes] = []
        for entry in urgent:
            frames.append(sse.without_id(entry.frame))
            if entry.final:
                self.pacing.ended(entry.run_id)
                self.ended = self.request.run_id is not None
            else:
                self.pacing.shown(entry.run_id, now)
        for run_id in self.pacing.due(now):
            state = self.projector.peek(run_id)
            self.pacing.shown(run_id, now)
            if state is not None:
                frames.append(self.fanout.snapshot_frame(state))
        if frames and not self.pacing.withholds:
            # All that happened up to here has been shown: this is a place to come back to.
            frames[-1] = sse.with_id(frames[-1], sse.event_id(self.fanout.epoch, self.projector.position))
        return b"".join(frames)

    async def _wait(self) -> None:
        until = None
        if self.pacing is not None:
            now = self._time()
            soon = self.pacing.next_due(now)
            until = None if soon is None else now + soon
        await self.client.wait(until=until)

    async def _send(self, chunk: bytes) -> None:
        await self._write(chunk)
        self.client.due = self._time() + self.request.keep_alive
