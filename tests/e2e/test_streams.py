"""Streams of a real server process: readers that stand still, many at once, and the stop."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from pathlib import Path

import anyio
import anyio.abc
import pytest

from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from tests.api.asking import BOUND, serving
from tests.api.streaming import parse

pytestmark = pytest.mark.anyio

RUN = "r"
REQUEST = f"GET /v1/runs/{RUN}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def _body(received: bytes) -> tuple[bytes, bool]:
    """A chunked body, and whether it ended cleanly."""
    rest = received.partition(b"\r\n\r\n")[2]
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body, True
        body += rest[:length]
        rest = rest[length + 2 :]
    return body, False


async def _read_to_end(one: anyio.abc.SocketStream) -> bytes:
    received = b""
    with anyio.fail_after(BOUND):
        try:
            while not received.endswith(b"0\r\n\r\n"):
                received += await one.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
    return received


async def test_a_frozen_reader_holds_up_neither_others_nor_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with Ledger.open(path, durability="process") as ledger:
        await ledger.create(RunSpec(kind="job", total=10_000), run_id=RUN)
        async with serving(path) as server:
            frozen = socket.socket()
            frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            frozen.connect(("127.0.0.1", server.port))
            frozen.sendall(REQUEST)
            async with await anyio.connect_tcp("127.0.0.1", server.port) as quick:
                await quick.send(REQUEST)
                assert b"200 OK" in await quick.receive()
                received = b""
                for start in range(0, 5_000, 250):
                    await ledger.append(RUN, [Ticked(done=done) for done in range(start, start + 250)])
                with anyio.fail_after(BOUND):
                    while b'"done":4999' not in received[-4_000:]:
                        received += await quick.receive()
                began = time.monotonic()
                assert await server.stop() == 0
                assert time.monotonic() - began < 5
                frames, _, _ = parse(_body(b"\r\n\r\n" + received + await _read_to_end(quick))[0])
                assert frames[-1].event == "drain"
            frozen.close()


async def test_a_narrow_reader_that_stood_still_is_told_so_and_every_end_and_catches_up(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    async with Ledger.open(path, durability="process") as ledger:
        for run_id in (RUN, "gone"):
            await ledger.create(RunSpec(kind="job", total=10_000), run_id=run_id)
        async with serving(path) as server:
            narrow = socket.socket()
            narrow.setblocking(False)
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            with contextlib.closing(narrow):
                loop = asyncio.get_running_loop()
                await loop.sock_connect(narrow, ("127.0.0.1", server.port))
                await loop.sock_sendall(narrow, REQUEST.replace(b"/runs/r", b""))
                received = await _until(narrow, b"", b"event: live")
                for start in range(0, 4_000, 250):
                    await ledger.append(RUN, [Ticked(done=done) for done in range(start, start + 250)])
                    if start == 2_000:
                        await ledger.append("gone", [Completed()])
                async with await anyio.connect_tcp("127.0.0.1", server.port) as quick:
                    await quick.send(REQUEST)
                    last = b""
                    with anyio.fail_after(BOUND):
                        while b'"done":3999' not in last[-4_000:]:
                            last += await quick.receive()
                received = await _until(narrow, received, b"event: live", 2)
                await ledger.append(RUN, [Ticked(done=5_000)])
                received = await _until(narrow, received, b'"done":5000')
                frames, _, _ = parse(_body(received)[0])
    again = [frame.event for frame in frames].index("hello", 1)
    assert frames[again].data["reason"] == "behind"
    assert [frame.event for frame in frames[again:]] == ["hello", "completed", "snapshot", "live", "ticked"]
    assert frames[again + 1].data["run"]["run_id"] == "gone"
    positions = [frame.data["event"]["position"] for frame in frames[:again] if "event" in frame.data]
    assert positions == list(range(positions[0], positions[0] + len(positions)))
    assert positions[-1] < 4_000


async def _until(one: socket.socket, received: bytes, what: bytes, times: int = 1) -> bytes:
    """``received`` and what comes after it, until whole frames hold ``what`` so many times."""
    with anyio.fail_after(BOUND):
        while received.count(what) < times or not received.endswith(b"\n\n\r\n"):
            piece = await asyncio.get_running_loop().sock_recv(one, 65_536)
            assert piece
            received += piece
    return received


async def test_a_stop_ends_every_stream_with_a_last_chunk_and_different_pauses(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with Ledger.open(path, durability="process") as ledger:
        await ledger.create(RunSpec(kind="job"), run_id=RUN)
        async with serving(path) as server:
            streams = [await anyio.connect_tcp("127.0.0.1", server.port) for _ in range(20)]
            heads: list[bytes] = []
            for one in streams:
                await one.send(REQUEST)
            for one in streams:
                received = b""
                with anyio.fail_after(BOUND):
                    while b"event: snapshot" not in received:
                        received += await one.receive()
                heads.append(received)
            began = time.monotonic()
            assert await server.stop() == 0
            assert time.monotonic() - began < 5
            waits: set[bytes] = set()
            for head, one in zip(heads, streams, strict=True):
                body, clean = _body(head + await _read_to_end(one))
                assert clean
                found = re.search(rb"retry: ([0-9]+)\nevent: drain\n", body)
                assert found is not None
                waits.add(found[1])
                await one.aclose()
            assert len(waits) > 5


async def test_two_hundred_readers_get_each_event_once_in_order_while_others_come_and_go(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    events = 300
    seen: list[list[int]] = []

    async def reader(port: int, slow: bool) -> None:
        async with await anyio.connect_tcp("127.0.0.1", port) as one:
            await one.send(REQUEST)
            received = b""
            with anyio.fail_after(BOUND):
                while not received.endswith(b"0\r\n\r\n"):
                    received += await one.receive(2_000 if slow else 65_536)
            body, clean = _body(received)
            frames, _, _ = parse(body)
            assert clean
            assert [frame.event for frame in frames].count("hello") == 1
            seen.append([frame.data["event"]["version"] for frame in frames if "event" in frame.data])

    async def passer_by(port: int, number: int) -> None:
        async with await anyio.connect_tcp("127.0.0.1", port) as one:
            await one.send(REQUEST)
            with contextlib.suppress(anyio.EndOfStream):
                for _ in range(number % 5):
                    await one.receive()

    async with Ledger.open(path, durability="process") as ledger:
        await ledger.create(RunSpec(kind="job", total=events), run_id=RUN)
        async with serving(path) as server, anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(reader, server.port, number % 10 == 0)
            for number in range(100):
                tasks.start_soon(passer_by, server.port, number)
            for done in range(1, events + 1):
                await ledger.append(RUN, [Ticked(done=done)])
            await ledger.append(RUN, [Completed()])
    assert len(seen) == 200
    for versions in seen:
        assert versions == list(range(versions[0], events + 3))
