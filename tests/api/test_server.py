"""A server process: it says when it listens, and a stop loses nothing and leaves nothing."""

from __future__ import annotations

import gc
import json
import signal
import socket
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest

from progress_ledger.api import server
from progress_ledger.api.server import bind, url_of
from progress_ledger.ledger.ledger import Ledger
from tests.api.asking import BOUND, Server, program, serving

pytestmark = pytest.mark.anyio


async def _raw(server: Server, *parts: bytes, half_close: bool = False) -> bytes:
    """What comes back for these bytes, up to the end of the connection."""
    stream = await anyio.connect_tcp("127.0.0.1", server.port)
    answer = b""
    async with stream:
        for part in parts:
            await stream.send(part)
        if half_close:
            await stream.send_eof()
        with anyio.fail_after(BOUND):
            try:
                while True:
                    answer += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return answer


async def test_it_answers_once_it_says_where(tmp_path: Path) -> None:
    async with serving(tmp_path / "p.db") as server, httpx.AsyncClient(base_url=server.url) as http:
        assert server.first_line == f"listening on {server.url}\n"
        assert (await http.get("/readyz")).status_code == 200
        made = await http.post("/v1/runs", json={"kind": "k", "run_id": "r"})
        assert made.status_code == 201
        assert "server" not in made.headers
        assert (await http.get("/healthz", headers={"Host": "evil.example"})).status_code == 403


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_drains_streams_keeps_what_was_accepted_and_exits_0(
    tmp_path: Path, sign: signal.Signals
) -> None:
    path = tmp_path / "p.db"
    async with serving(path) as server, httpx.AsyncClient(base_url=server.url, timeout=BOUND) as http:
        await http.post("/v1/runs", json={"kind": "k", "run_id": "r"})
        accepted = 1
        async with http.stream("GET", "/v1/runs/r/stream") as one, http.stream("GET", "/v1/stream") as many:
            text = {one: "", many: ""}
            parts = {reply: reply.aiter_text() for reply in text}
            for reply in text:
                while "snapshot" not in text[reply]:
                    text[reply] += await anext(parts[reply])
            for _ in range(20):
                reply = await http.post(
                    "/v1/runs/r/events", json={"events": [{"type": "ticked", "data": {"advance": 1}}]}
                )
                accepted = reply.json()["receipts"][0]["version"]
            with anyio.fail_after(BOUND):
                server.process.send_signal(sign)
                for reply in text:
                    # A body that was cut off would raise here.
                    async for part in parts[reply]:
                        text[reply] += part
                assert await server.process.wait() == 0
            for reply in text:
                assert "event: drain\n" in text[reply]
                assert text[reply].endswith("\n\n")
        assert await server.errors() == ""
    assert not path.with_name("p.db-wal").exists(), "the log was not closed"
    async with Ledger.open(path) as ledger:
        head = await ledger.log.run("r")
        assert head is not None
        assert head.version == accepted == 21


async def test_a_stop_does_not_wait_for_a_request_that_never_ends(tmp_path: Path) -> None:
    async with serving(tmp_path / "p.db") as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        async with stream:
            await stream.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
            async with httpx.AsyncClient(base_url=server.url) as http:
                assert (await http.get("/healthz")).status_code == 200
            with anyio.fail_after(BOUND):
                assert await server.stop() == 0


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "p.db") as server:
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        async with stream:
            await stream.send(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
            server.process.send_signal(signal.SIGTERM)
            await anyio.lowlevel.checkpoint()
            assert await server.stop(signal.SIGINT) == 0


async def test_a_body_that_is_cut_off_stores_nothing_and_the_next_request_works(tmp_path: Path) -> None:
    async with serving(tmp_path / "p.db") as server, httpx.AsyncClient(base_url=server.url) as http:
        await http.post("/v1/runs", json={"kind": "k", "run_id": "r"})
        body = json.dumps({"events": [{"type": "ticked", "data": {"advance": 1}}]}).encode()
        for path, content in (("/v1/runs/r/events", body), ("/v1/runs", b'{"kind":"cut"}')):
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
            await _raw(server, head.encode(), content[:-3], half_close=True)
        line = b'{"run_id":"r","type":"ticked","data":{"advance":1}}'
        chunked = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        await _raw(server, chunked, b"%x\r\n%b\r\n" % (len(line) - 4, line[:-4]), half_close=True)
        assert (await http.get("/v1/runs")).json()["counts"]["running"] == 1
        assert (await http.get("/v1/runs/r")).json()["version"] == 1
        assert (await http.post("/v1/runs/r/events", content=body)).status_code == 201
        assert await server.stop() == 0
        assert await server.errors() == ""


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with serving(tmp_path / "p.db") as server:
        head = b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        answer = await _raw(server, head, b"Content-Length: 99999999\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"too_large"' in answer


async def test_a_large_body_is_refused_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path / "p.db") as server, httpx.AsyncClient(base_url=server.url) as http:
        reply = await http.post("/v1/runs", content=b" " * 9_000_000)
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
        assert (await http.post("/v1/runs", json={"kind": "k"})).status_code == 201


async def test_an_address_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        done = await program("serve", "--db", "p.db", "--port", str(port), cwd=tmp_path)
    assert done.status == 1
    assert done.errors.startswith("progress-ledger: ")
    assert len(done.errors.splitlines()) == 1


def test_a_socket_has_a_small_send_buffer_and_a_url() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
        # The kernel doubles what is asked for.
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 64 * 1024


def test_the_cycle_collector_is_as_it_was_when_the_server_has_stopped() -> None:
    before = gc.get_threshold()
    with server._settled_heap():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before
