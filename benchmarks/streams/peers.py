"""The peers written in Python: a Protocol made by hand (the most Python can do) and sse-starlette as its
documents use it. Neither keeps anything: what is missed is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator
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


async def protocol() -> None:
    streams: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(streams), "127.0.0.1", 0, backlog=4096)
    say(server.sockets[0].getsockname()[1])
    number = 0

    async def publish(count: int) -> None:
        nonlocal number
        frames: list[bytes] = []
        for _ in range(count):
            number += 1
            frames.append(b"event: ticked\ndata: %b\nid: %d\n\n" % (data_of(number).encode(), number))
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
        app, http="httptools", loop="none", log_level="error", access_log=False, lifespan="off"
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
    main = protocol if parser.parse_args().peer == "protocol" else sse_starlette
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
