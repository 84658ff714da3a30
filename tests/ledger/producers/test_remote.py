"""A producer and a server with a socket between them, and the server dying on it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from progress_ledger.ledger import Ledger, LedgerError, RunNotFound, SlotTaken, Unavailable, open_run
from progress_ledger.ledger.producers.background import stop_all
from progress_ledger.ledger.producers.remote import RemoteLedger
from tests.ledger.producing import advanced, events_of, run_process, types_of, until

pytestmark = pytest.mark.anyio

SERVE = "import sys; from progress_ledger.api.cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def serve(path: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", "--db", str(path), "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield server, server.stdout.readline().strip().rpartition(" ")[2]
        finally:
            server.kill()


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path / "p.db"
    await anyio.to_thread.run_sync(stop_all)


async def test_the_surface_is_that_of_a_ledger_here(path: Path) -> None:
    with serve(path) as (_, url):
        async with RemoteLedger.open(url) as ledger:
            async with ledger.run("k", run_id="r", slot="s", stages=["a"]) as run:
                async with run.stage("a", total=9):
                    run.advance(3, counts={"x": 1})
                    receipt = await run.tick(done=5)
                    assert receipt is not None
                    assert receipt.version == 4
                with pytest.raises(SlotTaken) as taken:
                    async with ledger.run("k", slot="s"):
                        pass
                assert taken.value.run.run_id == "r"
            with pytest.raises(RunNotFound):
                async with ledger.run("k", run_id="nobody", attach=True):
                    pass
    async with Ledger.open(path, read_only=True) as there:
        assert [event["type"] for event in await events_of(there, "r")] == [
            "started", "stage_changed", "ticked", "ticked", "completed",
        ]  # fmt: skip


async def test_a_request_to_cancel_is_heard(path: Path) -> None:
    with serve(path) as (_, url):
        async with RemoteLedger.open(url) as ledger, ledger.run("k", run_id="r") as run:
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{url}/v1/runs/r/cancel", json={"reason": "enough"})
                assert answer.status_code == 202
            await until(lambda: run.cancel_requested)
    async with Ledger.open(path, read_only=True) as there:
        last = (await events_of(there, "r"))[-1]
        assert (last["type"], last["data"]["reason"]) == ("cancelled", "enough")


async def test_an_answer_that_is_lost_is_asked_for_again_and_nothing_is_there_twice() -> None:
    seen: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.read().decode())
        if request.url.path.endswith("/runs"):
            return httpx.Response(201, json={"run_id": "r", "status": "running", "version": 1, "position": 1})
        if request.url.path.endswith("/batch"):
            return httpx.Response(200, json={"runs": []})
        if len(seen) == 2:
            raise httpx.ReadTimeout("lost")
        events = request.read().count(b'"event_id"')
        receipts = [{"position": 2 + each, "version": 2 + each} for each in range(events)]
        return httpx.Response(200, json={"receipts": receipts})

    transport = httpx.MockTransport(answer)
    async with (
        RemoteLedger.open("http://x", transport=transport) as ledger,
        ledger.run("k", run_id="r") as run,
    ):
        run.advance(3)
        with anyio.fail_after(10):
            await until(lambda: run.statistics.appended >= 2)
    assert seen[1] == seen[2]


async def test_a_server_that_is_not_there_raises_only_when_strict() -> None:
    async with RemoteLedger.open("http://127.0.0.1:9", timeout=1.0) as ledger:
        with pytest.raises(Unavailable):
            async with ledger.run("k", strict=True):
                pass
        async with ledger.run("k", patience=0.1) as run:
            assert await run.tick() is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "127.0.0.1:9", "http://a..b", "http://[::1"])
async def test_an_address_that_cannot_be_fails_no_job(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def job() -> None:
        with open_run("k", patience=0.1) as run:
            run.advance(1)
            assert run.tick() is None

    monkeypatch.setenv("PROGRESS_LEDGER_URL", url)
    await anyio.to_thread.run_sync(job)
    assert "the job goes on" in caplog.text
    assert "sub-exception" not in caplog.text
    assert not any(record.exc_info for record in caplog.records)
    assert not Path(url).exists()


@pytest.mark.parametrize("status", [401, 404, 422])
async def test_an_answer_that_is_no_ledgers_fails_no_job(status: int) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text="<html>who are you"))
    async with RemoteLedger.open("http://h", transport=transport) as ledger:
        async with ledger.run("k", patience=0.1) as run:
            assert await run.tick() is None
        with pytest.raises(LedgerError):
            async with ledger.run("k", strict=True):
                pass


async def test_a_server_with_a_name_hears_the_end_of_the_process(path: Path) -> None:
    # The name is looked up again then: the kept connection has expired.
    with serve(path) as (_, url):
        code = (
            "import httpx\n"
            "none = httpx.Limits(max_keepalive_connections=0)\n"
            "httpx.AsyncClient.__init__.__kwdefaults__['limits'] = none\n"
            f"run = open_run('k', run_id='left', ledger={url.replace('127.0.0.1', 'localhost')!r})\n"
            "run.advance(3)"
        )
        await anyio.to_thread.run_sync(run_process, path, code)
    async with Ledger.open(path) as ledger:
        assert (await types_of(ledger, "left"))[-1] == "interrupted"


@pytest.mark.timeout(180)
@pytest.mark.acceptance("A29", "A32")
async def test_a_server_killed_ten_times_loses_and_doubles_nothing(path: Path) -> None:
    acknowledged: list[int] = []

    def produce(url: str, stop: threading.Event) -> None:
        with open_run("k", ledger=url, run_id="r", patience=30.0) as run:
            while not stop.is_set():
                receipt = run.tick(1)
                if receipt is not None:
                    acknowledged.append(receipt.version)
                run.advance(1)
                total[0] += 2
                pause.wait(0.002)

    pause, total = threading.Event(), [0]
    stop = threading.Event()
    with ExitStack() as servers:
        server, url = servers.enter_context(serve(path))
        port = int(url.rpartition(":")[2])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, produce, url, stop)
            for _ in range(10):
                enough = len(acknowledged) + 5
                await until(lambda: len(acknowledged) >= enough)  # noqa: B023 - awaited before it changes
                server.send_signal(signal.SIGKILL)
                await anyio.to_thread.run_sync(server.wait)
                server, _ = await anyio.to_thread.run_sync(servers.enter_context, serve(path, port))
            stop.set()
        await anyio.to_thread.run_sync(stop_all)
    async with Ledger.open(path) as ledger:
        events = await events_of(ledger, "r")
    assert advanced(events) == total[0]
    ids = [event["event_id"] for event in events if "event_id" in event]
    assert len(ids) == len(set(ids))
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert set(acknowledged) <= {event["version"] for event in events}
    assert events[-1]["type"] == "completed"
