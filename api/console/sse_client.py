"""A client of the streams: frames out of bytes, and a way back after every cut.

It keeps to the standard's rules for event streams, with two it can rely on here: lines end in LF, and a
frame's ``id`` counts only once the whole frame is there.
"""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
import msgspec

from .client import ConnectionLost, Reply, Transport, raise_for_problem

__all__ = ("SILENCE_SECONDS", "Cursor", "Frame", "Frames", "follow", "stream")

SILENCE_SECONDS = 45.0
"""A server gives a sign of life every 15 seconds; after three of them missed the connection is taken for
dead."""

_RETRY_SECONDS = 2.0
_LONGEST_RETRY = 30.0

_object = msgspec.json.Decoder(dict[str, object])


class Frame(NamedTuple):
    """A frame: its event's name, its data parsed, its id when it has one."""

    event: str
    data: dict[str, object]
    id: str | None

    @property
    def final(self) -> bool:
        """Whether the stream of this run ends here."""
        return self.data.get("final") is True


class Cursor:
    """Where a client is: the id to resume from, and how long to wait before the next try."""

    def __init__(self, last_event_id: str | None = None) -> None:
        self.last_event_id = last_event_id
        self.retry_seconds = _RETRY_SECONDS


class Frames:
    """Cuts bytes into frames, whatever the parts they come in."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._rest = b""
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, part: bytes) -> Iterator[Frame]:
        """The frames that ``part`` completes. The cursor moves as they are taken."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if line:
                self._line(line.decode("utf-8", "replace"))
                continue
            if self._id is not None:
                self._cursor.last_event_id = self._id
            if self._data:
                yield Frame(self._event or "message", _object.decode("\n".join(self._data)), self._id)
            self._event, self._data, self._id = "", [], None

    def _line(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self._cursor.retry_seconds = min(int(value) / 1000, _LONGEST_RETRY)


@asynccontextmanager
async def stream(
    transport: Transport, target: str, cursor: Cursor
) -> AsyncGenerator[AsyncIterator[Frame] | None, None]:
    """One connection's frames, from the cursor on; None when the server says that nothing more will come.

    Leaving the block drops the connection, wherever it is. Raises Refused and ConnectionLost; the frames
    raise ConnectionLost when the body ends in the middle or the server falls silent.
    """
    headers = {"Accept": "text/event-stream"}
    if cursor.last_event_id is not None:
        headers["Last-Event-ID"] = cursor.last_event_id
    async with transport.request("GET", target, headers=headers) as reply:
        if reply.status >= 400:
            raise_for_problem(reply.status, await reply.read())
        yield None if reply.status == 204 else _frames(reply, Frames(cursor))


async def _frames(reply: Reply, cut: Frames) -> AsyncIterator[Frame]:
    parts = aiter(reply)
    while True:
        try:
            with anyio.fail_after(SILENCE_SECONDS):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ConnectionLost("The server fell silent.") from None
        for frame in cut.feed(part):
            yield frame


async def follow(
    transport: Transport,
    target: str,
    show: Callable[[Frame], bool],
    *,
    cursor: Cursor | None = None,
    lost: Callable[[str, float], None] = lambda reason, seconds: None,
) -> None:
    """Call ``show`` with every frame until it returns False or the server says that nothing more will come.

    A connection that ends is opened again from where it was, with growing pauses; ``lost`` is told why and
    for how many seconds. Raises Refused, and ConnectionLost when not even the first connection comes about.
    """
    cursor = cursor or Cursor()
    failures = 0
    connected = False
    while True:
        reason = "The server ended the stream."
        try:
            async with stream(transport, target, cursor) as frames:
                if frames is None:
                    return
                connected = True
                async for frame in frames:
                    failures = 0
                    if not show(frame):
                        return
        except ConnectionLost as error:
            if not connected:
                raise
            reason = str(error)
        seconds = min(cursor.retry_seconds * 2**failures, _LONGEST_RETRY) * random.uniform(0.75, 1.25)
        failures += 1
        lost(reason, seconds)
        await anyio.sleep(seconds)
