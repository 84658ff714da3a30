"""From one fold to many readers: which streams an event belongs to, its frame encoded once for all of
them, and who is given it.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import perf_counter, thread_time
from typing import NamedTuple

from msgspec.structs import replace

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.events import TERMINAL
from progress_ledger.ledger.log import Recorded, RunFilter
from progress_ledger.projections import Projector, RunState

from . import sse
from .framing import Mode, encode_event
from .reader import Reader
from .tail import Entry
from .topic import Topic, Topics

__all__ = ("Fanout", "FanoutStatistics")

_logger = logging.getLogger("progress_ledger.api")

_LOOK_SECONDS = 0.5
_SLICE = 32
"""Readers served at a time while others may want the loop: a quarter of a millisecond."""

_LARGE_SLICE = 128
"""The same while nothing waits to be written: a turn of the loop costs as much as serving one or two."""

_PAUSE_SECONDS = 0.001
_REST = 5.0
"""While commits are under way, how often the length of a slice the loop is left to others after it."""

_URGENT = TERMINAL | {"stage_changed"}


class FanoutStatistics(NamedTuple):
    """Streams open now, topics held, frames encoded so far, and hellos said by status and reason."""

    streams: int
    topics: int
    frames: int
    hellos: dict[tuple[str, str], int]


class Fanout:
    """A :class:`~progress_ledger.projections.Follower` that turns the fold into frames.

    Readers are served in slices: whoever appends, asks or connects meanwhile does not wait for thousands of
    them, and what is appended meanwhile reaches the later ones in the same piece. While ``busy`` says that a
    commit is under way, the loop rests after each slice: the thread that commits could not get a word in
    otherwise, and a crowd of readers would slow the producers down.
    """

    def __init__(
        self,
        projector: Projector,
        *,
        epoch: str,
        clock: Callable[[], float],
        busy: Callable[[], bool] = lambda: False,
        tail_frames: int = 2_048,
        tail_bytes: int = 64_000_000,
        keep_alive: float = 15.0,
    ) -> None:
        self.projector = projector
        self.epoch = epoch
        self.clock = clock
        self._busy = busy
        self.keep_alive = keep_alive
        self.draining = False
        self._topics = Topics(tail_frames=tail_frames, tail_bytes=tail_bytes)
        self._touched: deque[Topic] = deque()
        self._round: Iterator[Reader] = iter(())
        self._topic: Topic | None = None
        self._serving = False
        self._fresh = False
        self._pause: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._rest_until = 0.0
        self._stalled: frozenset[str] = frozenset()
        self._snapshots: dict[str, tuple[int, bytes]] = {}
        self._moment = 0
        self._frames = 0
        self._hellos: Counter[tuple[str, str]] = Counter()
        self._looking: asyncio.TimerHandle | None = None
        self._pacing: asyncio.TimerHandle | None = None
        self._soonest: float | None = None

    @property
    def statistics(self) -> FanoutStatistics:
        """How much is going on."""
        streams = sum(len(topic.readers) for topic in self._topics)
        return FanoutStatistics(streams, len(self._topics), self._frames, dict(self._hellos))

    def greeted(self, status: str, reason: str | None) -> None:
        """A stream was opened, or began anew."""
        self._hellos[status, reason or ""] += 1

    def join(self, where: RunFilter, mode: Mode, every: float | None, reader: Reader) -> Topic:
        """The topic for that stream, holding every event from now on at the least."""
        topic = self._topics.join(
            where, mode, every, reader, position=self.projector.position, now=self._time()
        )
        if self._looking is None:
            self._stalled = self.projector.stalled()
            self._look_later()
        return topic

    def leave(self, topic: Topic, reader: Reader) -> None:
        """The reader follows no more. The topic stays for a while, for those who come back."""
        topic.leave(reader)
        if not topic.readers:
            topic.idle_since = self.clock()

    def drain(self) -> None:
        """Tell every stream to end."""
        self.draining = True
        for topic in self._topics:
            for reader in topic.readers:
                reader.wake()

    def snapshot_frame(self, state: RunState) -> bytes:
        """The run's snapshot now, without an id; made once for all who ask within a tenth of a second."""
        now = self.clock()
        moment = int(now * 10)
        if moment != self._moment:
            self._moment = moment
            self._snapshots.clear()
        kept = self._snapshots.get(state.run_id)
        if kept is None or kept[0] != state.position:
            frame = sse.frame("snapshot", b'{"run":%b}' % ascii_json(self.projector.look(state, now)))
            kept = self._snapshots[state.run_id] = (state.position, frame)
            self._frames += 1
        return kept[1]

    # ── a Follower ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def idle(self) -> bool:
        """Whether nobody follows anything, so that nothing need be told."""
        return not self._topics

    def folded(self, recorded: Recorded, state: RunState) -> None:
        """See :class:`~progress_ledger.projections.Follower`."""
        made: dict[Mode, Entry] = {}
        event = recorded.event
        urgent = event.type in _URGENT
        for topic in self._topics.of(state):
            conflation = topic.conflation
            if conflation is not None and not urgent:
                conflation.news(event.run_id)
                continue
            try:
                entry = made.get(topic.mode)
                if entry is None:
                    entry = encode_event(recorded, state, epoch=self.epoch, mode=topic.mode)
                    made[topic.mode] = entry
                    self._frames += 1
            except Exception:
                _logger.exception("position %d could not be streamed", event.position)
                topic.tail.lose(event.position)
                self._touch(topic)
                continue
            if conflation is not None:
                conflation.shown(event.run_id)
                if conflation.withheld:
                    entry = replace(entry, frame=sse.without_id(entry.frame))
            if entry.final:
                topic.ends.append((topic.tail.end, event.run_id))
            topic.tail.append(entry)
            self._touch(topic)

    def settled(self) -> None:
        """See :class:`~progress_ledger.projections.Follower`."""
        self._fresh = True
        if self._topics:
            self._pace()
            self._serve_soon()

    # ── giving out ──────────────────────────────────────────────────────────────────────────────────────

    def _touch(self, topic: Topic) -> None:
        if not topic.touched:
            topic.touched = True
            self._touched.append(topic)

    def _serve_soon(self) -> None:
        # Called after every commit, so also when a slice waits for one to be over.
        if self._pause is not None:
            if perf_counter() < self._rest_until:
                return
            self._pause.cancel()
            self._pause = None
            asyncio.get_running_loop().call_soon(self._serve)
        elif self._touched and not self._serving:
            self._serving = True
            asyncio.get_running_loop().call_soon(self._serve)

    def _serve_on(self) -> None:
        # The slice before has been sent by now, so this is what it took. By the clock it would be more on a
        # machine with much else to do, and readers would wait for seconds.
        rest = _REST * (thread_time() - self._began)
        if self._busy():
            self._rest_until = perf_counter() + rest
            self._pause = asyncio.get_running_loop().call_later(max(_PAUSE_SECONDS, rest), self._serve)
        else:
            # A producer that was given its receipt a moment ago is about to bring the next event.
            self._serve(_SLICE if self._fresh else _LARGE_SLICE)

    def _serve(self, most: int = _SLICE) -> None:
        self._pause = None
        self._fresh = False
        self._began = thread_time()
        due = self._time() + self.keep_alive
        left = most
        while left:
            if self._topic is not None:
                left -= self._give(self._topic, left, due)
            if left and not self._touched:
                self._serving = False
                self._topic = None
                return
            if left:
                topic = self._topic = self._touched.popleft()
                topic.touched = False
                self._round = iter(topic.crowd)
        asyncio.get_running_loop().call_soon(self._serve_on)

    def _give(self, topic: Topic, most: int, due: float) -> int:
        # The innermost loop of all. Nearly all readers are at one place and wait, and are written to as
        # they stand; whoever is not is woken and helps itself. Those who are more than a piece behind get
        # the rest in the next round: by themselves they would all be at it at once, and give nobody a rest.
        tail = topic.tail
        end = tail.end
        final = tail.final
        place = after = -2
        chunk = b""
        served = 0
        for reader in islice(self._round, most):
            served += 1
            if reader.at != place:
                piece = tail.piece(reader.at) if reader.at >= 0 else None
                if piece is None:
                    reader.wake()
                    continue
                place, after = reader.at, piece.after
                chunk = piece.chunk if piece.data else b""
                if after != end:
                    self._touch(topic)
            transport = reader.transport
            # How much is kept is asked of the transport, which is touched anyway, and not of the server.
            if (
                transport is None
                or transport.get_write_buffer_size()
                or transport.is_closing()
                or (final and reader.alone)
            ):
                reader.wake()
            elif chunk:
                transport.write(chunk)
                reader.place = reader.at = after
                reader.due = due
        return served

    # ── pace ────────────────────────────────────────────────────────────────────────────────────────────

    def _pace(self) -> None:
        # All that is due is shown; one timer waits for what is due next.
        now = self._time()
        soonest: float | None = None
        for topic, conflation in self._topics.conflated:
            self._show(topic, conflation.take(now))
            if conflation.due is not None and (soonest is None or conflation.due < soonest):
                soonest = conflation.due
        if soonest != self._soonest and self._pacing is not None:
            self._pacing.cancel()
            self._pacing = None
        if self._pacing is None and soonest is not None:
            self._pacing = asyncio.get_running_loop().call_at(soonest, self._paced)
        self._soonest = soonest

    def _paced(self) -> None:
        self._pacing = None
        try:
            self._pace()
        except Exception:
            _logger.exception("streams could not be paced")
        self._serve_soon()

    def _show(self, topic: Topic, run_ids: Iterable[str]) -> None:
        states = [state for run_id in run_ids if (state := self.projector.peek(run_id)) is not None]
        position = self.projector.position
        for state in states:
            frame = self.snapshot_frame(state)
            if state is states[-1]:
                # All that happened up to here has been shown: this is a place to come back to.
                at = state.position if topic.run_id is not None else position
                frame = sse.with_id(frame, sse.event_id(self.epoch, at))
            topic.tail.append(Entry(position, state.run_id, frame))
            self._touch(topic)

    # ── now and then ────────────────────────────────────────────────────────────────────────────────────

    def _look_later(self) -> None:
        # A timer, not a task: it runs only while there are topics, and needs no owner.
        seconds = min(_LOOK_SECONDS, self.keep_alive / 4)
        self._looking = asyncio.get_running_loop().call_later(seconds, self._look_after)

    def _look_after(self) -> None:
        self._looking = None
        try:
            self._show_stalls()
            self._wake_quiet()
            self._topics.drop_idle(self.clock())
        except Exception:
            _logger.exception("streams could not be looked after")
        if self._topics and not self.draining:
            self._look_later()
        else:
            self._snapshots.clear()

    def _show_stalls(self) -> None:
        stalled = self.projector.stalled()
        for run_id in stalled ^ self._stalled:
            state = self.projector.peek(run_id)
            if state is None or state.status in TERMINAL:
                continue
            # One that was made a moment ago may not say it yet.
            self._snapshots.pop(run_id, None)
            entry = Entry(self.projector.position, run_id, self.snapshot_frame(state), counts=False)
            for topic in self._topics.of(state):
                topic.tail.append(entry)
                self._touch(topic)
        self._stalled = stalled
        self._serve_soon()

    def _wake_quiet(self) -> None:
        now = self._time()
        for topic in self._topics:
            for reader in topic.readers:
                if reader.wire is not None and reader.wire.closed:
                    reader.leave()
                elif reader.due <= now or reader.check <= now:
                    reader.wake()

    def _time(self) -> float:
        return asyncio.get_running_loop().time()
