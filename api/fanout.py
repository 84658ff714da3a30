"""From one fold to many clients: which streams an event belongs to, its frame encoded once for all of
them, and who is to be woken.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeAlias

from progress_ledger.ledger.codec import ascii_json, wire_form
from progress_ledger.ledger.events import TERMINAL
from progress_ledger.ledger.log import Recorded, RunFilter
from progress_ledger.ledger.times import parse_time
from progress_ledger.projections import Projector, RunState, change, view

from . import sse
from .tail import Entry, Tail

__all__ = ("Client", "Fanout", "FanoutStatistics", "Mode", "Topic", "encode_event")

_logger = logging.getLogger("progress_ledger.api")

Mode: TypeAlias = Literal["change", "full", "paced"]
"""What an event's frame shows of its run: what changed, all of it, or (paced) all of it, later."""

_LOOK_SECONDS = 1.0
_LINGER_SECONDS = 30.0
_LINGERING = 256
_MATCHES_KEPT = 100_000
_SNAPSHOTS_KEPT = 10_000
_URGENT = TERMINAL | {"stage_changed"}


class FanoutStatistics(NamedTuple):
    """Streams open now, topics held, frames encoded so far."""

    streams: int
    topics: int
    frames: int


class Client:
    """A stream's place to wait: woken by news, a timer, the server's stop or the other side's leaving.

    ``due`` is the loop's time at which it owes a sign of life.
    """

    __slots__ = ("_timer", "_waiter", "due", "gone")

    def __init__(self) -> None:
        self.gone = False
        self.due = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Let :meth:`wait` return."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def leave(self) -> None:
        """The other side is gone."""
        self.gone = True
        self.wake()

    async def wait(self, *, until: float | None = None) -> None:
        """Until woken, until ``due``, or until the loop's time is ``until``.

        Nothing may be awaited between looking for news and this call.
        """
        loop = asyncio.get_running_loop()
        if self._timer is None:
            # One timer that is set again when it fires, not one for every wait.
            self._timer = loop.call_at(self.due, self._alive)
        soon = None if until is None else loop.call_at(until, self.wake)
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            if soon is not None:
                soon.cancel()

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _alive(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        if not self.gone:
            if self.due <= loop.time():
                self.wake()
            else:
                self._timer = loop.call_at(self.due, self._alive)


class Topic:
    """One stream that any number of clients follow: a filter, a mode, and the tail of its frames."""

    def __init__(self, where: RunFilter, mode: Mode, tail: Tail) -> None:
        self.where = where
        self.mode: Mode = mode
        self.tail = tail
        self.clients: set[Client] = set()
        self.idle_since: float | None = None
        self.touched = False
        self._matches: dict[str, bool] = {}

    def holds(self, state: RunState) -> bool:
        """Whether the run belongs to the stream. A run's spec never changes, so it is asked once."""
        found = self._matches.get(state.run_id)
        if found is None:
            if len(self._matches) >= _MATCHES_KEPT:
                self._matches.clear()
            found = self._matches[state.run_id] = self.where.matches(state)
        return found


class Fanout:
    """A :class:`~progress_ledger.projections.Follower` that turns the fold into frames."""

    def __init__(
        self,
        projector: Projector,
        *,
        epoch: str,
        clock: Callable[[], float],
        tail_frames: int = 2_048,
        tail_bytes: int = 2_000_000,
    ) -> None:
        self.projector = projector
        self.epoch = epoch
        self.clock = clock
        self.draining = False
        self._tail_frames = tail_frames
        self._tail_bytes = tail_bytes
        self._topics: dict[tuple[RunFilter, Mode], Topic] = {}
        self._by_run: dict[str, list[Topic]] = {}
        self._wide: list[Topic] = []
        self._touched: list[Topic] = []
        self._stalled: frozenset[str] = frozenset()
        self._snapshots: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._frames = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def statistics(self) -> FanoutStatistics:
        """How much is going on."""
        streams = sum(len(topic.clients) for topic in self._topics.values())
        return FanoutStatistics(streams, len(self._topics), self._frames)

    def join(self, where: RunFilter, mode: Mode, client: Client) -> Topic:
        """The topic for that stream, holding every event from now on at the least."""
        topic = self._topics.get((where, mode))
        if topic is None:
            tail = Tail(
                floor=self.projector.position, max_frames=self._tail_frames, max_bytes=self._tail_bytes
            )
            topic = self._topics[where, mode] = Topic(where, mode, tail)
            self._index()
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_after)
        topic.clients.add(client)
        topic.idle_since = None
        return topic

    def leave(self, topic: Topic, client: Client) -> None:
        """The client follows no more. The topic stays for a while, for those who come back."""
        topic.clients.discard(client)
        if not topic.clients:
            topic.idle_since = self.clock()

    def drain(self) -> None:
        """Tell every stream to end."""
        self.draining = True
        for topic in self._topics.values():
            for client in topic.clients:
                client.wake()

    def _look_after(self) -> None:
        # A timer, not a task: it runs only while there are topics, and needs no owner.
        self._timer = None
        try:
            self._show_stalls()
            self._drop_idle()
        except Exception:
            _logger.exception("streams could not be looked after")
        if self._topics:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_after)

    # ── a Follower ──────────────────────────────────────────────────────────────────────────────────────

    def folded(self, recorded: Recorded, state: RunState) -> None:
        """See :class:`~progress_ledger.projections.Follower`."""
        frames: dict[Mode, Entry] = {}
        for topic in self._topics_of(state):
            try:
                entry = frames.get(topic.mode)
                if entry is None:
                    entry = frames[topic.mode] = self._entry(recorded, state, topic.mode)
                topic.tail.append(entry)
            except Exception:
                _logger.exception("position %d could not be streamed", state.position)
                topic.tail.lose(state.position)
            self._touch(topic)

    def settled(self) -> None:
        """See :class:`~progress_ledger.projections.Follower`."""
        touched, self._touched = self._touched, []
        for topic in touched:
            topic.touched = False
            for client in topic.clients:
                client.wake()

    def _touch(self, topic: Topic) -> None:
        if not topic.touched:
            topic.touched = True
            self._touched.append(topic)

    def _topics_of(self, state: RunState) -> Iterable[Topic]:
        narrow = self._by_run.get(state.run_id, ())
        if not narrow and not self._wide:
            return ()
        return [topic for topic in (*narrow, *self._wide) if topic.holds(state)]

    def _entry(self, recorded: Recorded, state: RunState, mode: Mode) -> Entry:
        event = recorded.event
        if mode == "paced" and event.type not in _URGENT:
            return Entry(event.position, event.run_id, event.type, b"", False)
        self._frames += 1
        return encode_event(recorded, state, epoch=self.epoch, mode=mode)

    def _show_stalls(self) -> None:
        if not self._topics:
            return
        stalled = self.projector.stalled()
        for run_id in stalled ^ self._stalled:
            state = self.projector.peek(run_id)
            if state is None or state.status in TERMINAL:
                continue
            entry = Entry(state.position, run_id, "snapshot", self.snapshot_frame(state), False)
            for topic in self._topics_of(state):
                topic.tail.append(entry)
                self._touch(topic)
        self._stalled = stalled
        self.settled()

    def _drop_idle(self) -> None:
        now = self.clock()
        idle = [
            (topic.idle_since, key) for key, topic in self._topics.items() if topic.idle_since is not None
        ]
        idle.sort(key=lambda pair: pair[0], reverse=True)
        gone = [
            key
            for place, (since, key) in enumerate(idle)
            if place >= _LINGERING or now - since > _LINGER_SECONDS
        ]
        for key in gone:
            del self._topics[key]
        if gone:
            self._index()

    def _index(self) -> None:
        self._by_run = {}
        self._wide = []
        for topic in self._topics.values():
            if topic.where.run_ids is not None and len(topic.where.run_ids) == 1:
                (run_id,) = topic.where.run_ids
                self._by_run.setdefault(run_id, []).append(topic)
            else:
                self._wide.append(topic)

    def snapshot_frame(self, state: RunState) -> bytes:
        """The run's snapshot now, without an id; made once for all who ask within a moment."""
        now = self.clock()
        key = (state.position, int(now * 10))
        kept = self._snapshots.get(state.run_id)
        if kept is None or kept[0] != key:
            if len(self._snapshots) > _SNAPSHOTS_KEPT:
                self._snapshots.clear()
            data = b'{"run":%b}' % ascii_json(view(state, now))
            kept = self._snapshots[state.run_id] = (key, sse.frame("snapshot", data))
            self._frames += 1
        return kept[1]


def encode_event(recorded: Recorded, state: RunState, *, epoch: str, mode: Mode) -> Entry:
    """The frame of an event that was just applied to ``state``, seen at the event's own time.

    The same event always gives the same bytes, whether it is sent live or replayed from the log.
    """
    event = recorded.event
    final = event.type in TERMINAL
    run = change(state, event) if mode == "change" else view(state, parse_time(event.time))
    data = b'{"event":%b,"run":%b%b}' % (
        wire_form(event.position, recorded.body),
        ascii_json(run),
        b',"final":true' if final else b"",
    )
    frame = sse.frame(event.type, data, id=sse.event_id(epoch, event.position))
    return Entry(event.position, event.run_id, event.type, frame, final)
