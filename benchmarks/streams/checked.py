"""Many readers in one process that look at every frame: is it the next one of what they follow?"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

__all__ = ("Readers", "read")

_STREAMS_OF_ALL = 0.01
_END_SECONDS = 60.0
_EVENT = re.compile(rb'"event":\{"position":(\d+),"run_id":"(load-\d+)","version":(\d+),')
_SENT = re.compile(rb'"message":"t(\d+)"')
_VERSION = re.compile(rb'"version":(\d+)')


class _Stream:
    """One connection, and what it may be told next."""

    __slots__ = ("got", "others", "pending", "position", "run", "started", "version", "wire")

    def __init__(self, port: int, run: str | None) -> None:
        self.run = run
        self.got = 0
        self.version = 0
        self.position = 0
        self.others = 0
        self.pending = b""
        self.started = False
        self.wire = socket.create_connection(("127.0.0.1", port))
        path = f"/v1/runs/{run}/stream" if run else "/v1/stream"
        self.wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.wire.setblocking(False)


class Readers:
    """All streams of the load, in one process."""

    def __init__(self, port: int, runs: Sequence[str], count: int) -> None:
        self.faults: dict[str, int] = {}
        self.frames = 0
        self.finals = 0
        # Tenths of a millisecond, up to ten seconds.
        self.latencies = [0] * 100_001
        self._poll = select.epoll()
        self._streams: dict[int, _Stream] = {}
        self._buffer = bytearray(1 << 20)
        whole = max(1, int(count * _STREAMS_OF_ALL))
        for number in range(count):
            stream = _Stream(port, None if number < whole else runs[number % len(runs)])
            self._streams[stream.wire.fileno()] = stream
            self._poll.register(stream.wire, select.EPOLLIN)
            if number % 100 == 99 or number == count - 1:
                self._until(lambda: all(each.started for each in self._streams.values()))
        self._whole, self._of_one = whole, count - whole
        self._runs = len(runs)

    def work(self, seconds: float) -> None:
        """Read until every stream was told the end of its run, or of all, and at most for so long."""
        self._until(lambda: self.finals == self._of_one + self._whole * self._runs, seconds)

    def facts(self) -> dict[str, Any]:
        runs = [(each.run, each.got) for each in self._streams.values()]
        return {
            "frames": self.frames,
            "finals": self.finals,
            "faults": self.faults,
            "latencies": {at: n for at, n in enumerate(self.latencies) if n},
            "got": runs,
        }

    def _until(self, over: Callable[[], bool], seconds: float = _END_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not over() and time.monotonic() < end:
            for number, _ in self._poll.poll(1.0, 512):
                stream = self._streams[number]
                try:
                    size = stream.wire.recv_into(self._buffer)
                except OSError:
                    size = 0
                if size:
                    self._take(stream, stream.pending + self._buffer[:size])
                else:
                    self._poll.unregister(number)
                    if stream.run is None or stream.pending != b"end":
                        self._fault("a stream was closed")

    def _take(self, stream: _Stream, data: bytes) -> None:
        now = time.monotonic_ns()
        at = 0
        if not stream.started:
            head = data.find(b"\r\n\r\n") + 4
            if head < 4:
                stream.pending = data
                return
            if not data.startswith(b"HTTP/1.1 200"):
                self._fault(data[:60].decode("latin-1"))
            stream.started = True
            at = head
        while True:
            line = data.find(b"\r\n", at)
            if line < 0:
                break
            size = int(data[at:line], 16)
            if len(data) < line + size + 4:
                break
            for frame in data[line + 2 : line + 2 + size].split(b"\n\n"):
                if b"data: " in frame:
                    self._frame(stream, frame, now)
            at = line + size + 4
        stream.pending = data[at:]

    def _frame(self, stream: _Stream, frame: bytes, now: int) -> None:
        found = _EVENT.search(frame)
        if found is None:
            if b"event: hello" in frame:
                if b'"status":"new"' not in frame:
                    self._fault("a reset was told")
            elif b"event: snapshot" in frame and stream.run is not None and not stream.version:
                first = _VERSION.search(frame)
                stream.version = int(first[1]) if first else 0
            elif b"event: live" in frame:
                stream.position = int(frame.rpartition(b"-")[2])
            return
        self.frames += 1
        stream.got += 1
        position, version = int(found[1]), int(found[3])
        if stream.run is None:
            self._follows(position, stream.position)
            stream.position = position
        else:
            self._follows(version, stream.version)
            stream.version = version
        sent = _SENT.search(frame, found.end())
        if sent is not None:
            self.latencies[min((now - int(sent[1])) // 100_000, 100_000)] += 1
        self.finals += b'"final":true' in frame

    def _follows(self, number: int, before: int) -> None:
        if number > before + 1:
            self._fault("events lost", number - before - 1)
        elif number <= before:
            self._fault("events repeated")

    def _fault(self, name: str, count: int = 1) -> None:
        self.faults[name] = self.faults.get(name, 0) + count


def read(port: int, runs: Sequence[str], count: int, seconds: float, pipe: Connection) -> None:
    """Follow the runs with so many streams; say ``connected`` and at the end what was found."""
    readers = Readers(port, runs, count)
    pipe.send("connected")
    readers.work(seconds + _END_SECONDS)
    pipe.send(readers.facts())
