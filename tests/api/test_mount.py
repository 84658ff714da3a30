"""Mounted in somebody else's application, every address it gives lies below the prefix."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from progress_ledger.api import create_app
from progress_ledger.api.access.auth import COOKIE
from progress_ledger.api.drain import Drain
from progress_ledger.api.tokens import TokenFile, tokens_path
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from tests.api.asking import Clock

pytestmark = pytest.mark.anyio

PREFIX = "/tools/progress"


class Shop:
    """Somebody's application with the ledger's mounted inside, and a client of it."""

    def __init__(self, http: httpx.AsyncClient, tokens: TokenFile, drain: Drain) -> None:
        self.http = http
        self.tokens = tokens
        self.drain = drain


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async def front(request: Request) -> PlainTextResponse:
        return PlainTextResponse("a shop")

    path = tmp_path / "p.db"
    tokens, drain = TokenFile(tokens_path(path), Clock()), Drain()
    async with contextlib.AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(Ledger.open(path, durability="process"))
        projector = await stack.enter_async_context(Projector.open(ledger))
        inner = create_app(ledger, projector, tokens=tokens, drain=drain)
        outer = Starlette(routes=[Route("/", front), Mount(PREFIX, inner)])
        client = httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://shop.example")
        yield Shop(await stack.enter_async_context(client), tokens, drain)


async def test_a_new_run_is_located_below_the_prefix(shop: Shop) -> None:
    made = await shop.http.post(f"{PREFIX}/v1/runs", json={"kind": "k", "run_id": "r"})
    assert made.headers["location"] == f"{PREFIX}/v1/runs/r"
    assert (await shop.http.get(made.headers["location"])).json()["run_id"] == "r"
    assert (await shop.http.get("/")).text == "a shop"
    assert (await shop.http.get("/v1/runs")).status_code == 404


async def test_the_description_names_the_prefix_as_its_server(shop: Shop) -> None:
    document = (await shop.http.get(f"{PREFIX}/openapi.json")).json()
    assert document["servers"] == [{"url": PREFIX}]
    assert (await shop.http.get(PREFIX + "/healthz")).status_code == 200


async def test_the_page_without_its_slash_leads_to_the_one_with_it(shop: Shop) -> None:
    reply = await shop.http.get(PREFIX)
    assert reply.status_code == 307
    assert httpx.URL(reply.headers["location"]).path == f"{PREFIX}/"


async def test_every_address_of_the_page_is_found_below_the_prefix(shop: Shop) -> None:
    waiting, seen = [f"{PREFIX}/"], set[str]()
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        reply = await shop.http.get(at)
        assert reply.status_code == 200, at
        found = re.findall(r"""(?:src|href)="([^"#?]+)"|(?:from|import)\s*\(?["']([^"']+)["']""", reply.text)
        for target in (source or module for source, module in found):
            if "${" in target or ":" in target:
                continue
            assert not target.startswith("/"), f"{at} names {target}, which leaves the prefix"
            if target.endswith((".js", ".css", ".svg")):
                waiting.append(urljoin(at, target))
    assert len(seen) > 5


async def test_the_cookie_goes_back_below_the_prefix_only(shop: Shop) -> None:
    _, text = shop.tokens.make("reader")
    assert (await shop.http.get(f"{PREFIX}/v1/runs")).status_code == 401
    assert (await shop.http.get(f"{PREFIX}/healthz")).json() == {"status": "ok", "gated": False}
    reply = await shop.http.post(f"{PREFIX}/login", content=text)
    assert f"Path={PREFIX}" in reply.headers["set-cookie"]
    assert (await shop.http.get(f"{PREFIX}/v1/runs")).status_code == 200
    assert COOKIE not in (await shop.http.get("/")).request.headers.get("cookie", "")
    gone = await shop.http.post(f"{PREFIX}/logout")
    assert f"Path={PREFIX}" in gone.headers["set-cookie"]
    assert (await shop.http.get(f"{PREFIX}/v1/runs")).status_code == 401


async def test_a_stream_below_the_prefix_is_told_to_end(shop: Shop) -> None:
    await shop.http.post(f"{PREFIX}/v1/runs", json={"kind": "k", "run_id": "r"})
    shop.drain.begin()
    reply = await shop.http.get(f"{PREFIX}/v1/runs/r/stream")
    assert "event: busy" in reply.text


async def test_fastapi_takes_it_as_starlette_does(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path / "p.db") as ledger, Projector.open(ledger) as projector:
        outer = FastAPI()
        outer.mount(PREFIX, create_app(ledger, projector))
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as http:
            made = await http.post(f"{PREFIX}/v1/runs", json={"kind": "k", "run_id": "r"})
            assert made.headers["location"] == f"{PREFIX}/v1/runs/r"
            document = (await http.get(f"{PREFIX}/openapi.json")).json()
            assert document["servers"] == [{"url": PREFIX}]


def test_importing_the_package_loads_no_web_framework() -> None:
    code = "import sys, progress_ledger.api; sys.exit('starlette' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
