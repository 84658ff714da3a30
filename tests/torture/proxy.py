"""A proxy between clients and the server that cuts, freezes and half-opens what goes through it."""

from __future__ import annotations

import asyncio
import random
import socket
import struct

_PIECE = 16_384


class _Pipe:
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.left: int | None = None
        """Bytes that still reach the client before the connection is cut."""

    def cut(self) -> None:
        # A reset instead of a clean end, as when a machine or a network goes away.
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Listens on a port of its own; ``target`` is looked up at each connection."""

    def __init__(self, dice: random.Random) -> None:
        self.port = 0
        self.target = 0
        self._dice = dice
        self._pipes: set[_Pipe] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.thaw()
        for pipe in list(self._pipes):
            pipe.cut()

    def cut_soon(self) -> int:
        """Cut every connection after a few more bytes, wherever in a frame or a head that is."""
        for pipe in self._pipes:
            pipe.left = self._dice.randrange(1, 700)
        return len(self._pipes)

    def cut_now(self) -> int:
        for pipe in list(self._pipes):
            pipe.cut()
        return len(self._pipes)

    def freeze(self) -> None:
        """Nothing is read or forwarded any more, and nobody is told: half-open connections."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            above, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pipe = _Pipe(writer, server)
        self._pipes.add(pipe)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._up(reader, pipe))
                tasks.create_task(self._down(above, pipe))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._pipes.discard(pipe)
            pipe.server.close()
            pipe.client.close()

    async def _up(self, reader: asyncio.StreamReader, pipe: _Pipe) -> None:
        while piece := await reader.read(_PIECE):
            await self._thawed.wait()
            pipe.server.write(piece)
            await pipe.server.drain()
        pipe.server.close()

    async def _down(self, above: asyncio.StreamReader, pipe: _Pipe) -> None:
        while piece := await above.read(_PIECE):
            await self._thawed.wait()
            if pipe.left is not None:
                piece = piece[: pipe.left]
                pipe.left -= len(piece)
            pipe.client.write(piece)
            await pipe.client.drain()
            if pipe.left == 0:
                pipe.cut()
                return
        pipe.client.close()
