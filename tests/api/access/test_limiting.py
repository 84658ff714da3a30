"""Who asks for too much is told when to come back, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup
from msgspec.structs import replace

from progress_ledger.api.access.limits import Limits
from progress_ledger.api.app import create_app
from progress_ledger.api.tokens import TokenFile, tokens_path
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from tests.api.asking import BOUND, Clock
from tests.api.streaming import Connection

pytestmark = pytest.mark.anyio


class Site:
    """The application as it looks from any address, with its tokens."""

    def __init__(self, ledger: Ledger, projector: Projector, limits: Limits, tokens: TokenFile) -> None:
        self.app = create_app(ledger, projector, limits=limits, tokens=tokens)
        self.tokens = tokens

    def from_(self, address: str, *, token: str | None = None) -> httpx.AsyncClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.app, client=(address, 4321))
        return httpx.AsyncClient(transport=transport, base_url="http://ledger.example", headers=headers)


@contextlib.asynccontextmanager
async def site(path: Path, limits: Limits) -> AsyncIterator[Site]:
    async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger) as projector:
        yield Site(ledger, projector, limits, TokenFile(tokens_path(path), Clock()))


def refused(reply: httpx.Response) -> bool:
    if reply.status_code != 429:
        return False
    assert reply.json()["code"] == "too_many_requests"
    assert reply.headers["content-type"] == "application/problem+json"
    assert int(reply.headers["retry-after"]) == reply.json()["retry_after"] >= 1
    return True


SLOW = Limits(requests_per_second=0.001, runs_per_second=0.001, body_bytes_per_second=1.0)
"""So slow that nothing comes back while a test runs."""


async def test_requests_of_an_address_run_out_and_another_has_its_own(tmp_path: Path) -> None:
    async with site(tmp_path / "p.db", replace(SLOW, requests_burst=3)) as made:
        for address in ("203.0.113.1", "203.0.113.2"):
            async with made.from_(address) as http:
                assert [(await http.get("/v1/runs")).status_code for _ in range(3)] == [200] * 3
                assert refused(await http.get("/v1/runs"))


async def test_this_machine_without_tokens_is_not_limited(tmp_path: Path) -> None:
    async with site(tmp_path / "p.db", replace(SLOW, requests_burst=1)) as made:
        for address in ("127.0.0.1", "::1"):
            async with made.from_(address) as http:
                assert [(await http.get("/v1/runs")).status_code for _ in range(5)] == [200] * 5


async def test_a_token_has_one_account_wherever_it_comes_from(tmp_path: Path) -> None:
    async with site(tmp_path / "p.db", replace(SLOW, requests_burst=3)) as made:
        _, one = made.tokens.make("reader")
        _, other = made.tokens.make("reader")
        codes = []
        for address in ("127.0.0.1", "203.0.113.1", "203.0.113.2", "203.0.113.3"):
            async with made.from_(address, token=one) as http:
                codes.append((await http.get("/v1/runs")).status_code)
        assert codes == [200, 200, 200, 429]
        async with made.from_("127.0.0.1", token=other) as http:
            assert (await http.get("/v1/runs")).status_code == 200


async def test_guessing_tokens_runs_out_too(tmp_path: Path) -> None:
    async with site(tmp_path / "p.db", replace(SLOW, requests_burst=3)) as made:
        made.tokens.make("reader")
        async with made.from_("203.0.113.1", token="pl_0_guess") as http:
            assert [(await http.get("/v1/runs")).status_code for _ in range(3)] == [401] * 3
            assert refused(await http.post("/login", content="pl_0_guess"))


async def test_runs_begun_run_out_however_they_are_begun_and_ticks_go_on(tmp_path: Path) -> None:
    async with (
        site(tmp_path / "p.db", replace(SLOW, runs_burst=2)) as made,
        made.from_("203.0.113.1") as http,
    ):
        assert (await http.post("/v1/runs", json={"kind": "k", "run_id": "a"})).status_code == 201
        begun = {"events": [{"type": "started", "data": {"kind": "k"}}]}
        assert (await http.post("/v1/runs/b/events", json=begun)).status_code == 201
        assert refused(await http.post("/v1/runs", json={"kind": "k", "run_id": "c"}))
        assert refused(await http.post("/v1/runs/d/events", json=begun))
        lines = [
            {"run_id": "e", "type": "started", "data": {"kind": "k"}},
            {"run_id": "a", "type": "ticked", "data": {"done": 1}},
        ]
        reply = await http.post("/v1/events", content="\n".join(json.dumps(line) for line in lines))
        assert reply.json()["accepted"] == 1
        assert [(line["line"], line["code"]) for line in reply.json()["refused"]] == [
            (1, "too_many_requests")
        ]
        listed = (await http.get("/v1/runs")).json()["runs"]
        assert {run["run_id"] for run in listed} == {"a", "b"}


async def test_a_body_counts_by_what_it_says_it_holds(tmp_path: Path) -> None:
    async with (
        site(tmp_path / "p.db", replace(SLOW, body_bytes_burst=100)) as made,
        made.from_("203.0.113.1") as http,
    ):
        spec = {"kind": "k", "run_id": "a", "title": "x" * 50}
        assert (await http.post("/v1/runs", json=spec)).status_code == 201
        assert refused(await http.post("/v1/runs", json=spec))
        assert (await http.get("/v1/runs")).status_code == 200


async def test_a_body_in_chunks_is_read_to_its_end_and_paid_by_the_next(tmp_path: Path) -> None:
    limits = replace(SLOW, body_bytes_burst=1_000, body_bytes_per_second=100_000.0)

    async def chunks() -> AsyncIterator[bytes]:
        line = json.dumps({"run_id": "a", "type": "ticked", "data": {"advance": 1}}).encode() + b"\n"
        for _ in range(100):
            yield line

    async with (
        site(tmp_path / "p.db", limits) as made,
        made.from_("203.0.113.1") as http,
    ):
        await http.post("/v1/runs", json={"kind": "k", "run_id": "a"})
        with anyio.fail_after(BOUND):
            reply = await http.post(
                "/v1/events", content=chunks(), headers={"Content-Type": "application/x-ndjson"}
            )
        assert reply.json() == {"accepted": 100, "refused": []}


def following(made: Site, address: str, tasks: TaskGroup) -> Connection:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/stream",
        "raw_path": b"/v1/stream",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"ledger.example")],
        "client": (address, 1),
        "server": ("ledger.example", 80),
    }
    return Connection(made.app, scope, tasks)


async def test_a_stream_too_many_is_told_busy_and_one_that_went_makes_room(tmp_path: Path) -> None:
    async with (
        site(tmp_path / "p.db", Limits(streams=1)) as made,
        anyio.create_task_group() as tasks,
        made.from_("203.0.113.1") as http,
    ):
        await http.post("/v1/runs", json={"kind": "k", "run_id": "a"})
        await http.post("/v1/runs", json={"kind": "k", "run_id": "b"})
        first = following(made, "203.0.113.1", tasks)
        await first.until(lambda seen: bool(seen.named("live")))
        reply = await http.get("/v1/runs/a/stream")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "retry: " in reply.text
        assert "event: busy" in reply.text
        await http.post("/v1/runs/b/events", json={"events": [{"type": "completed"}]})
        async with made.from_("203.0.113.2") as other:
            assert '"final":true' in (await other.get("/v1/runs/b/stream")).text
        await first.cut()
        assert '"final":true' in (await http.get("/v1/runs/b/stream")).text


async def test_a_stream_asked_for_too_often_is_told_busy_never_429(tmp_path: Path) -> None:
    async with (
        site(tmp_path / "p.db", replace(SLOW, requests_burst=1)) as made,
        made.from_("203.0.113.1") as http,
    ):
        await http.get("/v1/runs")
        reply = await http.get("/v1/stream")
        assert reply.status_code == 200
        assert '"reason":"too_many_requests"' in reply.text
