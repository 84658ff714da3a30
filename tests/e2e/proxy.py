"""A TCP proxy between clients and a server that can cut every connection in the middle of a frame."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ("Proxy",)


class Proxy:
    """Listens on a port of its own and passes bytes on to ``port``."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._doomed: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self.cuts = 0

    async def start(self) -> int:
        """The port to connect to."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        """Cut every connection that is open now in the middle of the next thing the server sends on it."""
        self._doomed |= set(self._connections)

    @property
    def doomed(self) -> int:
        """How many connections are still to be cut."""
        return len(self._doomed)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        asking: asyncio.Task[None] | None = None
        questions: asyncio.StreamWriter | None = None
        try:
            answers, questions = await asyncio.open_connection("127.0.0.1", self._to)
            asking = asyncio.ensure_future(self._ask(reader, questions))
            while part := await answers.read(65_536):
                # A frame is one chunk of some hundred bytes: half of one ends inside of its data.
                if task in self._doomed and len(part) > 200:
                    writer.write(part[: len(part) // 2])
                    await writer.drain()
                    self.cuts += 1
                    return
                writer.write(part)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            self._doomed.discard(task)
            if asking is not None:
                asking.cancel()
            for one in (writer, questions):
                if one is not None:
                    one.close()
                    with contextlib.suppress(OSError, TimeoutError):
                        await asyncio.wait_for(one.wait_closed(), 1.0)

    async def _ask(self, reader: asyncio.StreamReader, questions: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65_536):
                questions.write(part)
                await questions.drain()
