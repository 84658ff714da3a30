"""Requests go to a server or to a file alike."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from starlette.types import Message, Receive, Scope, Send

from progress_ledger.api.console.client import (
    AppTransport,
    ConnectionLost,
    Refused,
    SocketTransport,
    get,
    raise_for_problem,
)
from progress_ledger.api.server import bind, url_of
from tests.api.asking import BOUND, api, serving

pytestmark = pytest.mark.anyio


async def _read(*parts: bytes) -> tuple[int, bytes]:
    """What the client makes of a server that answers with these bytes and closes."""

    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            for part in parts:
                await stream.send(part)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    found: tuple[int, bytes] | ConnectionLost = ConnectionLost("not asked")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        try:
            with anyio.fail_after(BOUND):
                async with SocketTransport(f"http://127.0.0.1:{port}").request("GET", "/") as reply:
                    found = reply.status, await reply.read()
        except ConnectionLost as lost:
            found = lost
        tasks.cancel_scope.cancel()
    if isinstance(found, ConnectionLost):
        raise found
    return found


async def test_a_server_and_a_file_give_the_same_answers(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("r", total=3, labels={"a": "b"})
        await asked.append("r", {"type": "completed"})
        inside = AppTransport(asked.http._transport.app)  # type: ignore[attr-defined]
        async with serving(path) as server:
            for target in ("/v1/runs/r", "/v1/runs/r/events", "/v1/runs?label=a:b", "/v1/runs/r?at=v1"):
                assert await get(inside, target) == await get(SocketTransport(server.url + "/"), target)
            for transport in (inside, SocketTransport(server.url)):
                with pytest.raises(Refused, match="There is no run 'a b'") as refused:
                    await get(transport, "/v1/runs/a%20b")
                assert (refused.value.status, refused.value.code) == (404, "run_not_found")


async def test_a_body_in_chunks_is_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert await _read(head + b"2\r\nab\r", b"\n3\r\ncde\r\n0\r\n", b"\r\n") == (200, b"abcde")


async def test_a_body_that_ends_too_early_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost, match="middle"):
        await _read(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")


async def test_what_is_no_http_server_is_said_to_be_none() -> None:
    with pytest.raises(ConnectionLost, match="no HTTP server"):
        await _read(b"220 smtp.example ESMTP\r\n")


async def test_nobody_at_the_address_is_one_sentence() -> None:
    with bind("127.0.0.1", 0) as listener:
        url = url_of(listener)
    with pytest.raises(ConnectionLost, match=rf"^There is no server at {url}: .*\.$"):
        await get(SocketTransport(url), "/")


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", "/tmp/p.db"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="write http://HOST:PORT"):
        SocketTransport(url)


def test_an_answer_of_another_server_is_still_one_sentence() -> None:
    with pytest.raises(Refused, match="is it a progress-ledger server"):
        raise_for_problem(502, b"<html>Bad Gateway</html>")
    raise_for_problem(200, b"")


async def test_an_application_notices_that_its_reader_left() -> None:
    gone = anyio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"X-A", b"b")]})
        try:
            while True:
                message: Message = {"type": "http.response.body", "body": b"x", "more_body": True}
                await send(message)
        finally:
            gone.set()

    async with AppTransport(endless).request("GET", "/a%20b?c=d") as reply:
        assert reply.headers == {"x-a": "b"}
        async for part in reply:
            assert part == b"x"
            break
    assert gone.is_set()
