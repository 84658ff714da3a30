"""The newest frames of one stream, shared by all its readers.

A reader owns nothing but a place in the tail. Who falls off its old end has fallen behind and is given
a snapshot, like one who comes back with a cursor that is too old.
"""

from collections import deque
from itertools import islice

from msgspec import Struct

__all__ = ("Entry", "Piece", "Tail")

_PIECE = 65_536
"""Bytes handed to a server at a time: what a reader that stands still can make it hold."""

_PIECES_KEPT = 4
"""A crowd that comes back goes through the same few pieces, each reader all of them in turn."""


class Entry(Struct, frozen=True, gc=False):
    """A frame as sent. ``position`` is that of the event, or of the newest event before what is none.

    ``counts`` is False for a frame that says nothing durable; ``final`` is a run's last frame.
    """

    position: int
    run_id: str
    frame: bytes
    final: bool = False
    counts: bool = True


class Piece:
    """Frames joined to be sent at once, and the place after them. One is made for all readers at a place."""

    __slots__ = ("_chunk", "after", "data")

    def __init__(self, data: bytes, after: int) -> None:
        self.data = data
        self.after = after
        self._chunk: bytes | None = None

    @property
    def chunk(self) -> bytes:
        """The same as a chunk of HTTP/1.1's chunked encoding, made once. Not for an empty piece."""
        if self._chunk is None:
            self._chunk = b"%x\r\n%b\r\n" % (len(self.data), self.data)
        return self._chunk


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
        self._pieces: dict[int, Piece] = {}
        self._pieces_end = 0

    @property
    def end(self) -> int:
        """The place after the newest frame."""
        return self._first + len(self._entries)

    @property
    def final(self) -> bool:
        """Whether the newest frame is a run's last one."""
        return bool(self._entries) and self._entries[-1].final

    def append(self, entry: Entry) -> None:
        """Add the newest frame; positions never go down."""
        self._entries.append(entry)
        self._bytes += len(entry.frame)
        if len(self._entries) > self._max_frames or self._bytes > self._max_bytes:
            self._trim()

    def narrow(self, max_bytes: int) -> None:
        """Hold about ``max_bytes`` from now on. The newest frame always stays."""
        self._max_bytes = max_bytes
        self._trim()

    def lose(self, position: int) -> None:
        """Forget every frame up to ``position``: all readers have fallen behind."""
        self._first = self.end + 1
        self._entries.clear()
        self._bytes = 0
        self.floor = position

    def place_after(self, position: int) -> int | None:
        """The place of the first frame after ``position``; None when events after it are gone."""
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
        return list(islice(self._entries, place - self._first, None))

    def piece(self, place: int) -> Piece | None:
        """What to send to a reader at ``place``, empty when there is nothing new; None when it fell behind.

        A piece ends before 64 KiB unless its first frame alone is longer.
        """
        end = self._first + len(self._entries)
        if self._pieces_end != end:
            self._pieces.clear()
            self._pieces_end = end
        kept = self._pieces.get(place)
        if kept is not None:
            return kept
        if place < self._first:
            return None
        if place == end - 1:
            piece = Piece(self._entries[-1].frame, end)
        else:
            size = 0
            frames: list[bytes] = []
            for entry in islice(self._entries, place - self._first, None):
                size += len(entry.frame)
                if frames and size > _PIECE:
                    break
                frames.append(entry.frame)
            piece = Piece(b"".join(frames), place + len(frames))
        if len(self._pieces) >= _PIECES_KEPT:
            del self._pieces[next(iter(self._pieces))]
        self._pieces[place] = piece
        return piece

    def _trim(self) -> None:
        entries = self._entries
        while len(entries) > 1 and (len(entries) > self._max_frames or self._bytes > self._max_bytes):
            dropped = entries.popleft()
            self._first += 1
            self._bytes -= len(dropped.frame)
            self.floor = max(self.floor, dropped.position)
