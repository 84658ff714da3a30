"""Other origins reach nothing from a browser unless they are listed, and then not with the cookie."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from progress_ledger.api.app import create_app
from progress_ledger.api.tokens import TokenFile, tokens_path
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from tests.api.asking import Clock

pytestmark = pytest.mark.anyio

LISTED = "https://shop.example"
STRANGER = "https://evil.example"


@contextlib.asynccontextmanager
async def asking(path: Path, *origins: str) -> AsyncIterator[tuple[httpx.AsyncClient, TokenFile]]:
    tokens = TokenFile(tokens_path(path), Clock())
    async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger) as projector:
        app = create_app(ledger, projector, allow_origins=origins, tokens=tokens)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger.example") as http:
            yield http, tokens


def allowed(reply: httpx.Response) -> list[str]:
    return [name for name in reply.headers if name.startswith("access-control-allow-")]


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def test_nothing_is_shared_unless_it_is_listed(tmp_path: Path) -> None:
    async with asking(tmp_path / "p.db") as (http, _):
        for method, more in (("GET", {}), ("OPTIONS", PREFLIGHT)):
            reply = await http.request(method, "/v1/runs", headers={"Origin": LISTED, **more})
            assert not allowed(reply)


async def test_a_listed_page_reads_reports_and_follows(tmp_path: Path) -> None:
    async with asking(tmp_path / "p.db", LISTED) as (http, tokens):
        _, text = tokens.make("producer")
        headers = {"Origin": LISTED, "Authorization": f"Bearer {text}"}
        # A browser asks without the token first.
        before = await http.options("/v1/runs", headers={"Origin": LISTED, **PREFLIGHT})
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == LISTED
        made = await http.post("/v1/runs", json={"kind": "k", "run_id": "r"}, headers=headers)
        assert made.status_code == 201
        await http.post("/v1/runs/r/events", json={"events": [{"type": "completed"}]}, headers=headers)
        for path in ("/v1/runs/r", "/v1/runs/r/stream", "/client.js"):
            reply = await http.get(path, headers=headers)
            assert reply.status_code == 200
            assert reply.headers["access-control-allow-origin"] == LISTED
            assert "origin" in reply.headers["vary"].lower()
            assert "access-control-allow-credentials" not in reply.headers


async def test_a_stranger_gets_no_leave_where_another_is_listed(tmp_path: Path) -> None:
    async with asking(tmp_path / "p.db", LISTED) as (http, _):
        assert (
            "access-control-allow-origin"
            not in (await http.get("/v1/runs", headers={"Origin": STRANGER})).headers
        )
        before = await http.options("/v1/runs", headers={"Origin": STRANGER, **PREFLIGHT})
        assert "access-control-allow-origin" not in before.headers
        refused = await http.post("/v1/runs", json={"kind": "k"}, headers={"Origin": STRANGER})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/runs", b'{"kind":"k"}'),
        ("/v1/runs/r/events", b'{"events":[{"type":"cancelled"}]}'),
        ("/v1/events", b'{"run_id":"r","type":"cancelled"}'),
        ("/v1/runs/r/cancel", b"{}"),
        ("/login", b"pl_x_y"),
        ("/logout", b""),
    ],
)
async def test_everything_that_changes_something_refuses_a_foreign_page_with_a_good_cookie(
    tmp_path: Path, path: str, body: bytes
) -> None:
    async with asking(tmp_path / "p.db") as (http, tokens):
        _, text = tokens.make("operator")
        await http.post("/login", content=text)
        await http.post("/v1/runs", json={"kind": "k", "run_id": "r"})
        for headers in (
            {"Origin": STRANGER},
            {"Origin": "null"},
            {"Origin": "http://ledger.example.evil.example"},
            {"Origin": "http://ledger.example:81"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            reply = await http.post(path, content=body, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (403, "forbidden"), headers
        assert (await http.get("/v1/runs/r")).json()["version"] == 1
