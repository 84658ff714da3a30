"""The newest frames of one stream, shared by all its clients.

A client owns nothing but a place in the tail. Who falls off its old end has fallen behind and is given
a snapshot, like one who comes back with a cursor that is too old.
"""

from collections import deque
from typing import NamedTuple

__all__ = ("Entry", "Tail")


class Entry(NamedTuple):
    """A frame as sent: the event's ``position`` (that of the event before it when it is no event itself)."""

    position: int
    run_id: str
    type: str
    frame: bytes
    final: bool


class Tail:
    """At most ``max_frames`` frames and about ``max_bytes`` bytes; older ones are dropped first.

    Places are numbered 0, 1, 2 … from the tail's beginning and never given twice. ``floor`` is the
    position after which the tail holds every event of its stream.
    """

    def __init__(self, *, floor: int, max_frames: int, max_bytes: int) -> None:
        self.floor = floor
        self._entries: deque[Entry] = deque()
        self._first = 0
        self._bytes = 0
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._joined = (-1, -1, 0, b"")

    @property
    def end(self) -> int:
        """The place after the newest frame."""
        return self._first + len(self._entries)

    def append(self, entry: Entry) -> None:
        """Add the newest frame; positions never go down."""
        self._entries.append(entry)
        self._bytes += len(entry.frame)
        while len(self._entries) > self._max_frames or (
            self._bytes > self._max_bytes and len(self._entries) > 1
        ):
            dropped = self._entries.popleft()
            self._first += 1
            self._bytes -= len(dropped.frame)
            self.floor = dropped.position

    def lose(self, position: int) -> None:
        """Forget every frame up to ``position``: all clients have fallen behind."""
        self._first = self.end + 1
        self._entries.clear()
        self._bytes = 0
        self.floor = position

    def place_after(self, position: int) -> int | None:
        """The place of the first frame after ``position``; None when older frames are gone."""
        if position < self.floor:
            return None
        place = self.end
        for entry in reversed(self._entries):
            if entry.position <= position:
                break
            place -= 1
        return place

    def since(self, place: int) -> list[Entry] | None:
        """The frames from ``place`` on; None when some of them are gone."""
        if place < self._first:
            return None
        missing = place - self._first
        if missing >= len(self._entries):
            return []
        if missing == len(self._entries) - 1:
            return [self._entries[-1]]
        return list(self._entries)[missing:]

    def joined_since(self, place: int, *, max_bytes: int) -> tuple[bytes, int] | None:
        """The same as one piece of bytes, joined once for all clients at that place, and the place after it.

        A piece ends before ``max_bytes`` unless its first frame alone is longer.
        """
        start, end, after, joined = self._joined
        if (start, end) == (place, self.end):
            return joined, after
        entries = self.since(place)
        if entries is None:
            return None
        size = 0
        frames: list[bytes] = []
        for entry in entries:
            size += len(entry.frame)
            if frames and size > max_bytes:
                break
            frames.append(entry.frame)
        joined = frames[0] if len(frames) == 1 else b"".join(frames)
        after = place + len(frames)
        self._joined = (place, self.end, after, joined)
        return joined, after

    @property
    def final(self) -> bool:
        """Whether the newest frame is a terminal one."""
        return bool(self._entries) and self._entries[-1].final
