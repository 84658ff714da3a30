"""What the torture found and no other test had, each as small as it can be shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from progress_ledger.api.app import create_app
from progress_ledger.ledger import Ledger, RunSpec, Ticked
from progress_ledger.projections.projector import Projector
from tests.api.asking import serving
from tests.api.streaming import parse
from tests.fuzz.drive import ask

pytestmark = pytest.mark.anyio


async def test_a_crowd_that_comes_from_ever_further_back_reads_the_log_a_few_times_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.db"
    async with Ledger.open(path, durability="process") as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        await ledger.append("r", [Ticked(advance=1)] * 299)
    async with Ledger.open(path) as ledger, Projector.open(ledger) as projector:
        app = create_app(ledger, projector)
        reads = 0
        read = ledger.log.read

        async def counted(after: int, *, limit: int) -> object:
            nonlocal reads
            reads += 1
            return await read(after, limit=limit)

        monkeypatch.setattr(ledger.log, "read", counted)
        for missed in range(1, 100):
            cursor = f"{ledger.epoch}-{300 - missed}".encode()
            answer = await ask(app, "GET", "/v1/stream", headers=[(b"last-event-id", cursor)])
            frames, _, _ = parse(answer.body)
            assert frames[0].data["status"] == "resumed"
            assert [frame.position for frame in frames[1:]] == list(range(301 - missed, 301))
        assert reads <= 12


async def test_readers_that_break_off_leave_no_word_on_the_servers_standard_error(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "p.db") as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        (await client.post("/v1/runs", json={"run_id": "r", "kind": "k"})).raise_for_status()
        line = b'{"run_id":"r","type":"ticked","data":{"advance":1,"message":"%b"}}\n' % (b"x" * 400)
        (await client.post("/v1/events", content=line * 900)).raise_for_status()
        answer = await client.get("/v1/log")
        cursor = f"{answer.json()['epoch']}-1"
        await asyncio.gather(*(_break_off(server.port, cursor) for _ in range(200)))
        assert await server.stop() == 0
        assert await server.errors() == ""


async def _break_off(port: int, cursor: str) -> None:
    stream, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {cursor}\r\n\r\n".encode())
    assert b"event: hello\n" in await stream.readuntil(b"\n\n")
    writer.transport.abort()
