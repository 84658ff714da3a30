"""The peers written in Python: a Protocol made by hand (the most Python can do) and sse-starlette as its
documents use it. Neither keeps anything: what is missed is lost. To tell what keeping costs, the Protocol can
also store each event before anybody sees it, as bluntly as it can be done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import cast

import uvicorn
import uvloop

from benchmarks.streams.control import message, obey, say

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-store\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def data_of(number: int) -> str:
    """An event of the same 200 bytes, without what the ledger adds about the run."""
    return json.dumps(
        {
            "position": number,
            "run_id": "bench",
            "version": number,
            "time": "2026-11-21T23:34:40.123456Z",
            "type": "ticked",
            "data": {"done": number, "message": message(number)},
        },
        separators=(",", ":"),
    )


class Stream(asyncio.Protocol):
    """Answers any request with a stream."""

    def __init__(self, streams: set[asyncio.Transport]) -> None:
        self._streams = streams
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of it.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(HEAD + _chunk(b"event: hello\ndata: {}\n\n"))
            self._streams.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._streams.discard(self._transport)


def store_in(path: str) -> Callable[[list[str]], None]:
    """What puts events on the disk of one table, in one transaction that survives the loss of power."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE event (body TEXT)")

    def store(bodies: list[str]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO event VALUES (?)", ((body,) for body in bodies))
        database.execute("COMMIT")

    return store


async def protocol(path: str | None) -> None:
    store = None if path is None else store_in(path)
    streams: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(streams), "127.0.0.1", 0, backlog=4096)
    say(server.sockets[0].getsockname()[1])
    number = 0

    async def publish(count: int) -> None:
        nonlocal number
        bodies = [data_of(number + 1 + n) for n in range(count)]
        if store is not None:
            store(bodies)
        frames: list[bytes] = []
        for body in bodies:
            number += 1
            frames.append(b"event: ticked\ndata: %b\nid: %d\n\n" % (body.encode(), number))
        chunk = _chunk(b"".join(frames))
        for transport in tuple(streams):
            transport.write(chunk)

    await obey(publish)
    server.close()


async def sse_starlette() -> None:
    from sse_starlette.sse import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    queues: set[asyncio.Queue[dict[str, str]]] = set()

    async def stream(request: Request) -> Response:
        queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()

        async def events() -> AsyncIterator[dict[str, str]]:
            queues.add(queue)
            try:
                yield {"event": "hello", "data": "{}"}
                while True:
                    yield await queue.get()
            finally:
                queues.discard(queue)

        return EventSourceResponse(events(), sep="\n")

    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    app = Starlette(routes=[Route("/stream", stream)])
    config = uvicorn.Config(
        app, http="httptools", loop="none", log_level="critical", access_log=False, lifespan="off"
    )
    serving = asyncio.create_task(uvicorn.Server(config).serve(sockets=[listener]))
    say(listener.getsockname()[1])
    number = 0

    async def publish(count: int) -> None:
        nonlocal number
        for _ in range(count):
            number += 1
            event = {"event": "ticked", "data": data_of(number), "id": str(number)}
            for queue in queues:
                queue.put_nowait(event)

    await obey(publish)
    serving.cancel()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=("protocol", "sse-starlette"))
    parser.add_argument("--store", help="store each event in this file first (the Protocol only)")
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(protocol(chosen.store) if chosen.peer == "protocol" else sse_starlette())
