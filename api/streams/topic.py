"""Streams that any number of readers share, and which of them an event belongs to."""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from progress_ledger.ledger.log import RunFilter
from progress_ledger.projections import RunState

from .conflate import Conflation
from .framing import Mode
from .reader import Reader
from .tail import Entry, Tail

__all__ = ("Replay", "Topic", "Topics")

_MATCHES_KEPT = 100_000
_ENDS_KEPT = 10_000
_LEAST_TAIL = 65_536
_LINGER_SECONDS = 30.0
_LINGERING = 256


class Replay(NamedTuple):
    """The stream's events after one position and up to another, read back from the log at ``made``."""

    after: int
    through: int
    entries: list[Entry]
    made: float

    def since(self, position: int) -> list[Entry]:
        """Those after ``position``, which is not before ``after``."""
        return self.entries[bisect_right(self.entries, position, key=attrgetter("position")) :]


class Topic:
    """One stream: a filter, a form, the tail of its frames, and its readers.

    ``ends`` are the runs that ended while it was followed, each with the place of its last frame.
    ``idle_since`` is the time at which the last reader left. ``replay`` is what was last read back from the
    log, under ``reading``: after a restart all readers come back at once and have missed much the same.
    """

    def __init__(self, where: RunFilter, mode: Mode, conflation: Conflation | None, tail: Tail) -> None:
        self.where = where
        self.mode: Mode = mode
        self.conflation = conflation
        self.tail = tail
        self.readers: dict[Reader, None] = {}
        self.ends: deque[tuple[int, str]] = deque(maxlen=_ENDS_KEPT)
        self.idle_since: float | None = None
        self.touched = False
        self.replay: Replay | None = None
        self.reading = asyncio.Lock()
        self._matches: dict[str, bool] = {}
        self._crowd: tuple[Reader, ...] | None = None

    @property
    def crowd(self) -> tuple[Reader, ...]:
        """The readers as they are now; whoever comes or goes changes the next one."""
        if self._crowd is None:
            self._crowd = tuple(self.readers)
        return self._crowd

    def enter(self, reader: Reader) -> None:
        """One more reader."""
        self.readers[reader] = None
        self._crowd = None

    def leave(self, reader: Reader) -> None:
        """One less, if it was one."""
        self.readers.pop(reader, None)
        self._crowd = None

    @property
    def run_id(self) -> str | None:
        """The one run that the filter names, if it names one."""
        named = self.where.run_ids
        return next(iter(named)) if named is not None and len(named) == 1 else None

    def holds(self, state: RunState) -> bool:
        """Whether the run belongs to the stream. A run's spec never changes, so it is asked once."""
        found = self._matches.get(state.run_id)
        if found is None:
            if len(self._matches) >= _MATCHES_KEPT:
                self._matches.clear()
            found = self._matches[state.run_id] = self.where.matches(state)
        return found

    def ended_since(self, place: int) -> list[str]:
        """The runs whose last frame has that place or a later one."""
        found: list[str] = []
        for at, run_id in reversed(self.ends):
            if at < place:
                break
            found.append(run_id)
        return found[::-1]


class Topics:
    """All topics. Those that nobody reads stay for a while, for those who come back.

    ``conflated`` are the topics that have a pace. The tails share ``tail_bytes`` among them.
    """

    def __init__(self, *, tail_frames: int, tail_bytes: int) -> None:
        self.conflated: list[tuple[Topic, Conflation]] = []
        self._topics: dict[tuple[RunFilter, Mode, float | None], Topic] = {}
        self._by_run: dict[str, list[Topic]] = {}
        self._wide: list[Topic] = []
        self._tail_frames = tail_frames
        self._tail_bytes = tail_bytes

    def __len__(self) -> int:
        return len(self._topics)

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def join(
        self, where: RunFilter, mode: Mode, every: float | None, reader: Reader, *, position: int, now: float
    ) -> Topic:
        """The topic for that stream, with ``reader`` in it; a new one holds what comes after ``position``."""
        key = (where, mode, every)
        topic = self._topics.get(key)
        if topic is None:
            conflation = None if every is None else Conflation(every, now)
            share = max(_LEAST_TAIL, self._tail_bytes // (len(self._topics) + 1))
            tail = Tail(floor=position, max_frames=self._tail_frames, max_bytes=share)
            topic = self._topics[key] = Topic(where, mode, conflation, tail)
            self._index(topic)
        topic.enter(reader)
        topic.idle_since = None
        return topic

    def of(self, state: RunState) -> Iterable[Topic]:
        """The topics to which the run belongs."""
        narrow = self._by_run.get(state.run_id, ())
        if not narrow and not self._wide:
            return ()
        return [topic for topic in (*narrow, *self._wide) if topic.holds(state)]

    def drop_idle(self, now: float, *, linger: float = _LINGER_SECONDS) -> None:
        """Let go of what nobody read for ``linger`` seconds, and share the memory out anew."""
        idle = [
            (topic.idle_since, key) for key, topic in self._topics.items() if topic.idle_since is not None
        ]
        idle.sort(key=lambda pair: pair[0], reverse=True)
        gone = [key for place, (since, key) in enumerate(idle) if place >= _LINGERING or now - since > linger]
        if gone:
            for key in gone:
                del self._topics[key]
            self.conflated, self._by_run, self._wide = [], {}, []
            for topic in self._topics.values():
                self._index(topic)
        share = max(_LEAST_TAIL, self._tail_bytes // max(1, len(self._topics)))
        for topic in self._topics.values():
            topic.tail.narrow(share)
            if topic.replay is not None and now - topic.replay.made > linger:
                topic.replay = None

    def _index(self, topic: Topic) -> None:
        if topic.conflation is not None:
            self.conflated.append((topic, topic.conflation))
        run_id = topic.run_id
        if run_id is None:
            self._wide.append(topic)
        else:
            self._by_run.setdefault(run_id, []).append(topic)
