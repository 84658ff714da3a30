"""Many readers in one process, each a raw socket, that count frames and say when all have come."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

from benchmarks.streams.servers import Server

__all__ = ("Readers", "read_frames")

_SECONDS = 60.0
_NEWLINE = ord("\n")


class Readers:
    """``count`` readers of a server's stream, connected and greeted."""

    def __init__(
        self,
        server: Server,
        count: int,
        *,
        greeting: int = 1,
        last_event_id: str | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._frames: dict[int, int] = {}
        self._cut: set[int] = set()
        self._buffer = bytearray(1 << 20)
        self.latencies: list[float] = []
        request = server.request(last_event_id)
        for start in range(0, count, 200):
            for _ in range(start, min(count, start + 200)):
                one = socket.create_connection((address, server.port))
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                one.sendall(request)
                one.setblocking(False)
                self._sockets[one.fileno()] = one
                self._frames[one.fileno()] = 0
                self._poll.register(one.fileno(), select.EPOLLIN)
            if greeting:
                self.until(greeting)
        self.base = greeting

    def __len__(self) -> int:
        return len(self._sockets)

    def until(self, frames: int, *, since: float | None = None) -> float:
        """Read until every reader has got so many frames in all; the moment the last one had them.

        With ``since`` each reader's wait from then on goes to :attr:`latencies`.
        """
        have = self._frames
        missing = sum(1 for count in have.values() if count < frames)
        until = time.perf_counter() + _SECONDS
        now = time.perf_counter()
        while missing:
            ready = self._poll.poll(1.0, 256)
            for number, _ in ready:
                before = have[number]
                after = self._read(number)
                if before < frames <= after:
                    missing -= 1
                    if since is not None:
                        self.latencies.append(time.perf_counter() - since)
            now = time.perf_counter()
            if now > until:
                raise TimeoutError(f"{missing} readers wait for frame {frames}")
        return now

    def read_for(self, fd: int) -> None:
        """Read what comes until the descriptor is ready."""
        self._poll.register(fd, select.EPOLLIN)
        while True:
            for number, _ in self._poll.poll(1.0, 256):
                if number == fd:
                    self._poll.unregister(fd)
                    return
                self._read(number)

    def _read(self, number: int) -> int:
        # Frames are counted by the empty line at their end, which may lie on the border of two reads.
        buffer = self._buffer
        size = self._sockets[number].recv_into(buffer)
        if not size:
            raise ConnectionError("a stream ended")
        frames = buffer.count(b"\n\n", 0, size)
        if number in self._cut:
            self._cut.discard(number)
            frames += buffer[0] == _NEWLINE
        if buffer[size - 1] == _NEWLINE and buffer[max(size - 2, 0)] != _NEWLINE:
            self._cut.add(number)
        after = self._frames[number] = self._frames[number] + frames
        return after

    def close(self) -> None:
        self._poll.close()
        for one in self._sockets.values():
            one.close()


def read_frames(
    server: Server, frames: int, *, last_event_id: str | None = None
) -> tuple[bytes, float, float]:
    """One reader's first frames: what it read, and the seconds from connecting to the first and last byte."""
    began = time.perf_counter()
    first = 0.0
    parts: list[bytes] = []
    seen = 0
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.settimeout(_SECONDS)
        one.sendall(server.request(last_event_id))
        while seen < frames:
            part = one.recv(1 << 20)
            if not part:
                raise ConnectionError("the stream ended")
            first = first or time.perf_counter() - began
            # A frame's end may lie on the border of two parts.
            joined = (parts[-1][-1:] if parts else b"") + part
            seen += joined.count(b"\n\n")
            parts.append(part)
    return b"".join(parts), first, time.perf_counter() - began


def ids(received: bytes) -> Sequence[str]:
    """The ids in what was read."""
    return [line[4:].decode() for line in received.split(b"\n") if line.startswith(b"id: ")]
