"""The ways in which readers get their frames: a socket of our own, httpx-sse, and sseclient-py."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
from collections.abc import Callable
from typing import Any

import httpx
import httpx_sse
import sseclient

from .model import Broken
from .reader import Reader

_FRAME = re.compile(
    rb"(?:retry: [0-9]+\n)?event: ([a-z_]+)\ndata: ([ -~]+)\n(?:id: ([0-9a-f]{16}-[0-9]+)\n)?\n"
)
_TIMEOUT = 20.0
"""Longer than a keep-alive takes: who hears nothing for so long takes the connection for dead."""

_PASSING = frozenset((503, 507))
"""Statuses of a server that cannot read its file at the moment."""

_BUFFER = 65_536
_NARROW_BUFFER = 8_192
"""Receive buffers asked for. With the narrow one standing still is soon felt at the other end, but Linux may
send through it no faster than a segment of 6 KB every 200 ms, once it has been full: the reader's kernel says
nothing of a window until that has doubled, and the sender's waits for one of half the largest it saw."""

Port = Callable[[], int]
Failed = Callable[[BaseException], None]


class Stopped(Exception):
    """The reader is to end."""


class RawWire:
    """A socket and a parser that accepts the promised form only. Can stand still, and be narrow."""

    def __init__(self, reader: Reader, port: Port, dice: random.Random, failed: Failed) -> None:
        self.reader = reader
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._port = port
        self._dice = dice
        self._failed = failed
        self._received = b""

    async def run(self) -> None:
        while not self.reader.finished:
            try:
                await self._connection()
            except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
                self.reader.tally["cuts"] += 1
            except Broken as error:
                self._failed(error)
                return
            await asyncio.sleep(self._dice.uniform(0.05, 0.4))

    async def _connection(self) -> None:
        raw = socket.socket()
        raw.setblocking(False)
        size = _NARROW_BUFFER if self.reader.narrow else _BUFFER
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self._port()))
            stream, writer = await asyncio.open_connection(sock=raw, limit=16_384)
        except BaseException:  # also when the end of all cancels it
            raw.close()
            raise
        try:
            self.reader.connected()
            cursor = f"Last-Event-ID: {self.reader.cursor}\r\n" if self.reader.cursor else ""
            writer.write(f"GET {self.reader.path} HTTP/1.1\r\nHost: localhost\r\n{cursor}\r\n".encode())
            await self._answer(stream)
        finally:
            writer.transport.abort()

    async def _answer(self, stream: asyncio.StreamReader) -> None:
        head = await stream.readuntil(b"\r\n\r\n")
        status = int(head.split()[1])
        if _over(self.reader, status):
            return
        self._received = b""
        while True:
            await self.may_read.wait()
            async with asyncio.timeout(_TIMEOUT):
                size = int(await stream.readuntil(b"\r\n"), 16)
                piece = (await stream.readexactly(size + 2))[:-2]
            if not size:
                return
            self._take(piece)

    def _take(self, piece: bytes) -> None:
        data = self._received + piece
        at = 0
        while at < len(data):
            if data.startswith(b":\n", at):
                at += 2
                continue
            end = data.find(b"\n\n", at)
            if end < 0:
                break
            found = _FRAME.fullmatch(data, at, end + 2)
            if found is None:
                raise Broken(f"{self.reader.name}: a frame of another form: {data[at : end + 2][:300]!r}")
            ident = None if found[3] is None else found[3].decode()
            self.reader.frame(found[1].decode(), found[2], ident)
            at = end + 2
        self._received = data[at:]


class HttpxWire:
    """httpx-sse on an event loop."""

    def __init__(self, reader: Reader, port: Port, dice: random.Random, failed: Failed) -> None:
        self.reader = reader
        self._port = port
        self._dice = dice
        self._failed = failed

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            while not self.reader.finished:
                try:
                    await self._connection(client)
                except (httpx.HTTPError, httpx_sse.SSEError):
                    self.reader.tally["cuts"] += 1
                except Broken as error:
                    self._failed(error)
                    return
                await asyncio.sleep(self._dice.uniform(0.05, 0.4))

    async def _connection(self, client: httpx.AsyncClient) -> None:
        self.reader.connected()
        headers = {"Last-Event-ID": self.reader.cursor} if self.reader.cursor else {}
        url = f"http://127.0.0.1:{self._port()}{self.reader.path}"
        async with httpx_sse.aconnect_sse(client, "GET", url, headers=headers) as source:
            if _over(self.reader, source.response.status_code):
                return
            last = ""
            async for each in source.aiter_sse():
                # The library repeats the last id on frames that carry none.
                self.reader.frame(each.event, each.data, each.id if each.id != last else None)
                last = each.id


class SseclientWire:
    """sseclient-py, which blocks, in a thread."""

    def __init__(self, reader: Reader, port: Port, dice: random.Random, failed: Failed) -> None:
        self.reader = reader
        self._port = port
        self._dice = dice
        self._failed = failed
        self._stop = threading.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def work() -> None:
            self._run()
            if not loop.is_closed():
                loop.call_soon_threadsafe(over.set)

        threading.Thread(target=work, name=self.reader.name, daemon=True).start()
        try:
            await over.wait()
        finally:
            self._stop.set()

    def _run(self) -> None:
        with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
            while not self.reader.finished and not self._stop.is_set():
                try:
                    self._connection(client)
                except httpx.HTTPError:
                    self.reader.tally["cuts"] += 1
                except Stopped:
                    return
                except Broken as error:
                    self._failed(error)
                    return
                self._stop.wait(self._dice.uniform(0.05, 0.4))

    def _connection(self, client: httpx.Client) -> None:
        self.reader.connected()
        headers = {"Last-Event-ID": self.reader.cursor} if self.reader.cursor else {}
        url = f"http://127.0.0.1:{self._port()}{self.reader.path}"
        with client.stream("GET", url, headers=headers) as answer:
            if _over(self.reader, answer.status_code):
                return
            source: Any = answer.iter_bytes()
            for each in sseclient.SSEClient(source).events():
                if self._stop.is_set():
                    raise Stopped
                self.reader.frame(each.event, each.data, each.id)


def _over(reader: Reader, status: int) -> bool:
    """Whether nothing follows an answer with this status. Raises Broken when it is none to be given."""
    if status == 200:
        return False
    if status == 204:
        reader.nothing()
    elif status == 404 and reader._model.cut_away:
        reader.finished = True
    elif status in _PASSING:
        reader.tally["told to try again"] += 1
    else:
        raise Broken(f"{reader.name}: a stream was answered with {status}")
    return True
