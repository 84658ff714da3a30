"""Every notice reaches its receiver, over refusals and restarts, and carries a signature that holds."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from progress_ledger.api import webhooks
from progress_ledger.api.webhook import Webhook
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from tests.api.asking import BOUND, Api, api, serving

pytestmark = pytest.mark.anyio

KEY = b"a key of some length"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Receiver:
    """An HTTP server that answers ``status`` and keeps what it was told when that was success."""

    def __init__(self, port: int) -> None:
        self.status = 204
        self.told: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.calls = 0
        self.news = threading.Condition()
        receiver = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + body
                right = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
                status = receiver.status if self.headers["webhook-signature"] == f"v1,{right}" else 401
                with receiver.news:
                    receiver.calls += 1
                    # At least once is promised: a repeat shows by its id.
                    if status == 204 and self.headers["webhook-id"] not in receiver.ids:
                        receiver.told.append(json.loads(body))
                        receiver.ids.append(self.headers["webhook-id"])
                    receiver.news.notify_all()
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called there
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
        self.port: int = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook?token=x"

    async def until(self, holds: Callable[[Receiver], bool]) -> None:
        def wait() -> bool:
            with self.news:
                return self.news.wait_for(lambda: holds(self), BOUND)

        assert await anyio.to_thread.run_sync(wait), (self.calls, self.told)

    @property
    def summary(self) -> list[tuple[str, str]]:
        return [(told["type"], told["data"]["run_id"]) for told in self.told]


@contextlib.contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    receiver = Receiver(port)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


async def placed(ledger: Ledger) -> None:
    """Wait until a webhook has its place in the log: it is told of what comes after."""
    with anyio.fail_after(BOUND):
        # Maybe another process writes it: nothing here can be waited for.
        while not await ledger.log.load_documents(webhooks.SPACE):  # noqa: ASYNC110
            await anyio.sleep(0.01)


@contextlib.asynccontextmanager
async def telling(ledger: Ledger, projector: Projector, webhook: Webhook) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(webhooks.keep_telling, ledger, projector, webhook)
        await placed(ledger)
        yield
        tasks.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_STEP_SECONDS", 0.02)
    monkeypatch.setattr(webhooks, "retry_delay", lambda attempt, chance: 0.02)


async def test_a_run_is_told_from_its_start_to_its_end_in_order(asked: Api) -> None:
    await asked.begin("before")
    with receiving() as receiver:
        async with telling(asked.ledger, asked.projector, Webhook(url=receiver.url, secret=SECRET)):
            await asked.begin("r", total=2)
            await asked.append("r", {"type": "ticked", "data": {"done": 1}})
            await asked.append("r", {"type": "failed", "data": {"error": "broke"}})
            await receiver.until(lambda seen: len(seen.told) == 2)
    assert receiver.summary == [("run.started", "r"), ("run.failed", "r")]
    last = receiver.told[1]["data"]
    assert (last["run"]["error"], last["event"]["type"]) == ("broke", "failed")
    assert receiver.ids[1] == f"{asked.ledger.epoch}-{last['event']['position']}"


async def test_a_stall_and_the_recovery_are_told_once_each(asked: Api) -> None:
    await asked.begin("r", stall_seconds=5)
    with receiving() as receiver:
        async with telling(asked.ledger, asked.projector, Webhook(url=receiver.url, secret=SECRET)):
            asked.clock.now += 6
            await receiver.until(lambda seen: len(seen.told) == 1)
            await asked.append("r", {"type": "ticked", "data": {"done": 1}})
            await receiver.until(lambda seen: len(seen.told) == 2)
            await asked.append("r", {"type": "completed"})
            await receiver.until(lambda seen: len(seen.told) == 3)
    assert [kind for kind, _ in receiver.summary] == ["run.stalled", "run.recovered", "run.completed"]
    assert len(set(receiver.ids)) == 3


async def test_what_is_refused_is_tried_again_until_it_is_taken(asked: Api) -> None:
    with receiving() as receiver:
        receiver.status = 500
        async with telling(asked.ledger, asked.projector, Webhook(url=receiver.url, secret=SECRET)):
            await asked.begin("a")
            await asked.begin("b")
            await receiver.until(lambda seen: seen.calls >= 3)
            receiver.status = 204
            await receiver.until(lambda seen: len(seen.told) == 2)
    assert receiver.summary == [("run.started", "a"), ("run.started", "b")]


async def test_only_what_was_asked_for_is_told(asked: Api) -> None:
    with receiving() as receiver:
        webhook = Webhook(url=receiver.url, secret=SECRET, events=("completed",), kinds="backup*")
        async with telling(asked.ledger, asked.projector, webhook):
            for run_id, kind in (("a", "other"), ("b", "backup-db")):
                await asked.begin(run_id, kind)
                await asked.append(run_id, {"type": "completed"})
            await receiver.until(lambda seen: len(seen.told) == 1)
    assert receiver.summary == [("run.completed", "b")]


async def test_who_is_gone_is_told_no_more_of_that(asked: Api) -> None:
    with receiving() as receiver:
        receiver.status = 410
        async with telling(asked.ledger, asked.projector, Webhook(url=receiver.url, secret=SECRET)):
            await asked.begin("a")
            await receiver.until(lambda seen: seen.calls == 1)
            receiver.status = 204
            await asked.begin("b")
            await receiver.until(lambda seen: len(seen.told) == 1)
    assert receiver.summary == [("run.started", "b")]


async def test_what_happened_while_nobody_told_is_told_after_the_restart(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with receiving() as receiver:
        webhook = Webhook(url=receiver.url, secret=SECRET)
        async with api(path) as asked, telling(asked.ledger, asked.projector, webhook):
            await asked.begin("a")
            await receiver.until(lambda seen: len(seen.told) == 1)
        async with api(path) as asked:
            await asked.append("a", {"type": "completed"})
            await asked.begin("b")
        async with api(path) as asked, telling(asked.ledger, asked.projector, webhook):
            await receiver.until(lambda seen: len(seen.told) == 3)
    assert receiver.summary == [("run.started", "a"), ("run.completed", "a"), ("run.started", "b")]


async def test_a_killed_server_loses_no_notice(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    config = tmp_path / "ledger.toml"
    url = f"http://127.0.0.1:{port}/hook?token=x"
    config.write_text(f'[[webhooks]]\nurl = "{url}"\nsecret = "{SECRET}"\n')
    async with serving(path, "--config", str(config)) as server, api(path) as asked:
        # Only what comes after the first look is told.
        await placed(asked.ledger)
        # Nobody is listening there yet.
        await asked.begin("a")
        await asked.append("a", {"type": "completed"})
        server.process.kill()
        await server.process.wait()
    with receiving(port) as receiver:
        async with serving(path, "--config", str(config)) as server:
            await receiver.until(lambda seen: len(seen.told) == 2)
            assert await server.stop() == 0
    assert receiver.summary == [("run.started", "a"), ("run.completed", "a")]


async def test_a_receiver_that_hangs_does_not_hold_up_a_stop(asked: Api) -> None:
    called, release = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def hang(url: str, body: bytes, headers: dict[str, str]) -> int:
        threads.append(threading.current_thread())
        called.set()
        release.wait(BOUND)
        return 204

    webhook = Webhook(url="http://127.0.0.1:9/", secret=SECRET)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                partial(webhooks.keep_telling, call=hang), asked.ledger, asked.projector, webhook
            )
            await placed(asked.ledger)
            await asked.begin("r")
            assert await anyio.to_thread.run_sync(called.wait, BOUND)
            tasks.cancel_scope.cancel()
        # Here the teller has ended while the call goes on, on a thread that no exit waits for.
        assert not release.is_set()
        assert threads[0].daemon
    finally:
        release.set()
        threads[0].join(BOUND)
