"""One application: every error is a problem, and it works under any prefix."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from progress_ledger.api.app import create_app
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from tests.api.asking import Api

pytestmark = pytest.mark.anyio


async def test_what_is_not_there_is_a_problem(asked: Api) -> None:
    for path in ("/nope", "/v1", "/v1/runs/a/b/c"):
        reply = await asked.http.get(path)
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["status"] == 404


async def test_a_wrong_method_names_all_right_ones(asked: Api) -> None:
    reply = await asked.http.delete("/v1/runs")
    assert (reply.status_code, reply.json()["code"]) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD, POST"
    assert (await asked.http.put("/v1/events")).headers["allow"] == "POST"


async def test_what_nobody_foresaw_tells_a_client_nothing(
    asked: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("secret path /etc/shadow")

    monkeypatch.setattr(asked.projector, "snapshot", breaks)
    reply = await asked.http.get("/v1/runs/r")
    assert (reply.status_code, reply.json()["code"]) == (500, "internal_error")
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    assert "secret path" in caplog.text


async def test_it_works_under_any_prefix(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path / "p.db") as ledger, Projector.open(ledger) as projector:
        outer = Starlette(routes=[Mount("/deep/down", create_app(ledger, projector))])
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as http:
            made = await http.post("/deep/down/v1/runs", json={"kind": "k", "run_id": "r"})
            assert made.status_code == 201
            assert made.headers["location"] == "/deep/down/v1/runs/r"
            assert (await http.get(made.headers["location"])).status_code == 200
            assert (await http.get("/deep/down/healthz")).status_code == 200
            again = await http.post("/deep/down/v1/runs", json={"kind": "other", "run_id": "r"})
            assert (again.status_code, again.json()["code"]) == (409, "run_exists")


async def test_a_head_request_has_the_head_of_the_answer(asked: Api) -> None:
    await asked.begin("r")
    reply = await asked.http.head("/v1/runs/r")
    assert reply.status_code == 200
    assert reply.headers["etag"]
