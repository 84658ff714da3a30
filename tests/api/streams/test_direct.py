"""The short way to a reader: taken only where it surely holds, and never seen in the bytes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import anyio
import anyio.abc
import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from progress_ledger.api.drain import Drain
from progress_ledger.api.server import bind, serve_app
from progress_ledger.api.streams import stream
from progress_ledger.api.streams.direct import Direct, Line, line_of
from progress_ledger.ledger.events import Completed, Ticked
from tests.api.asking import BOUND
from tests.api.streaming import Frame, Hub, hub, parse

pytestmark = pytest.mark.anyio


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Line | None]:
    """The lines that streams were lent and found to hold, or None."""
    found: list[Line | None] = []

    class Body(stream._Body):
        async def write(self, chunk: bytes) -> None:
            first = not self.begun
            await super().write(chunk)
            if first:
                found.append(self.line)

    monkeypatch.setattr(stream, "_Body", Body)
    return found


@contextlib.asynccontextmanager
async def _served(app: ASGIApp, *, http: Literal["h11"] | None = None) -> AsyncIterator[int]:
    listener = bind("127.0.0.1", 0)
    drain = Drain()
    ready = anyio.Event()
    async with anyio.create_task_group() as tasks:
        if http is not None:

            async def serve() -> None:
                config = uvicorn.Config(Direct(app), http=http, lifespan="off", log_config=None, ws="none")
                server = uvicorn.Server(config)
                tasks.start_soon(server.serve, [listener])
                while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                    await anyio.sleep(0.005)
                ready.set()
                await drain.wait()
                server.should_exit = True

            tasks.start_soon(serve)
        else:
            tasks.start_soon(_serve, app, listener, drain, ready)
        with anyio.fail_after(BOUND):
            await ready.wait()
        try:
            yield listener.getsockname()[1]
        finally:
            drain.begin()


async def _serve(app: ASGIApp, listener: object, drain: Drain, ready: anyio.Event) -> None:
    await serve_app(app, listener, drain=drain, listening=ready.set)  # type: ignore[arg-type]


async def _follow(made: Hub, port: int, *, ticks: int = 50) -> list[Frame]:
    await made.begin("r", total=ticks)
    async with await anyio.connect_tcp("127.0.0.1", port) as socket:
        await socket.send(b"GET /v1/runs/r/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        received = b""
        with anyio.fail_after(BOUND):
            while b"event: snapshot" not in received:
                received += await socket.receive()
            for done in range(1, ticks + 1):
                await made.ledger.append("r", [Ticked(done=done)])
            await made.ledger.append("r", [Completed()])
            while not received.endswith(b"0\r\n\r\n"):
                received += await socket.receive()
    body = b""
    rest = received.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        assert rest[int(size, 16) :][:2] == b"\r\n"
        rest = rest[int(size, 16) + 2 :]
    frames, _, left = parse(body)
    assert left == b""
    return frames


async def test_on_our_server_frames_go_the_short_way(tmp_path: Path, lines: list[Line | None]) -> None:
    async with hub(tmp_path / "a.db") as made, _served(made.app) as port:
        frames = await _follow(made, port)
        assert [frame.event for frame in frames] == ["hello", "snapshot", *["ticked"] * 50, "completed"]
        assert len(lines) == 1
        assert lines[0] is not None


async def test_below_a_layer_that_rewrites_bodies_they_go_through_it(
    tmp_path: Path, lines: list[Line | None]
) -> None:
    def copying(app: ASGIApp) -> ASGIApp:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            async def copy(message: Message) -> None:
                if message.get("body"):
                    # Other bytes, though they say the same: nothing but these very bytes is proof.
                    message = {**message, "body": bytes(bytearray(message["body"]))}
                await send(message)

            await app(scope, receive, copy)

        return layer

    async with hub(tmp_path / "a.db") as made, _served(copying(made.app)) as port:
        frames = await _follow(made, port)
        assert len(frames) == 53
        assert lines == [None]


async def test_on_another_server_frames_go_the_usual_way(tmp_path: Path, lines: list[Line | None]) -> None:
    async with hub(tmp_path / "a.db") as made, _served(made.app, http="h11") as port:
        frames = await _follow(made, port)
        assert [frame.event for frame in frames[-2:]] == ["ticked", "completed"]
        assert lines == [None]


async def test_what_is_no_stream_is_lent_no_line() -> None:
    seen: list[Line | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(line_of(scope))

    async def nothing(*_: object) -> Message:
        return {"type": "http.disconnect"}

    for scope in (
        {"type": "lifespan"},
        {"type": "http", "method": "GET", "path": "/v1/runs"},
        {"type": "http", "method": "GET", "path": "/v1/stream"},
        {"type": "http", "method": "HEAD", "path": "/v1/stream"},
    ):
        await Direct(app)(scope, nothing, nothing)  # type: ignore[arg-type]
    assert seen == [None] * 4


async def test_a_reader_that_goes_away_in_silence_is_let_go(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made, _served(made.app) as port:
        await made.begin("r")
        async with await anyio.connect_tcp("127.0.0.1", port) as socket:
            await socket.send(b"GET /v1/runs/r/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            with anyio.fail_after(BOUND):
                while b"event: snapshot" not in await socket.receive():
                    pass
            assert await _streams(port) == 1
        with anyio.fail_after(BOUND):
            while await _streams(port):  # noqa: ASYNC110 - the server tells nobody
                await anyio.sleep(0.01)


async def _streams(port: int) -> int:
    async with await anyio.connect_tcp("127.0.0.1", port) as socket:
        await socket.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        received = b""
        with anyio.fail_after(BOUND):
            try:
                while True:
                    received += await socket.receive()
            except anyio.EndOfStream:
                pass
    found = re.search(rb"^progress_ledger_streams(?:_open)? ([0-9.]+)$", received, re.MULTILINE)
    assert found is not None, received
    return int(float(found[1]))
