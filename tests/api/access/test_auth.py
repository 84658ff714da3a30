"""With tokens every address asks for one, and what a token does not reach does not exist for its holder."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.routing import Route

from progress_ledger.api.access.auth import COOKIE, OPEN_PATHS
from progress_ledger.api.app import create_app
from tests.api.asking import Api
from tests.api.locked import Locked, locked

pytestmark = pytest.mark.anyio


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Locked]:
    async with locked(tmp_path / "progress.db") as made:
        yield made


async def test_without_any_token_everybody_may_do_everything(door: Locked) -> None:
    assert (await door.begin({}, "r", "job")).status_code == 201
    assert (await door.http.get("/v1/runs/r")).status_code == 200


async def test_every_address_but_the_open_ones_asks_for_a_token(asked: Api, door: Locked) -> None:
    door.holder("operator")
    app = create_app(asked.ledger, asked.projector)
    checked = 0
    for route in app.routes:
        assert isinstance(route, Route)
        path = route.path.replace("{path:path}", "0/000").replace("{kind:path}", "k")
        path = path.replace("{run_id}", "r").replace("{name}", "app.js")
        method = "GET" if route.methods is None or "GET" in route.methods else "POST"
        reply = await door.http.request(method, path)
        if route.path in OPEN_PATHS or route.path.startswith("/static/"):
            assert reply.status_code != 401 or route.path == "/login", route.path
        else:
            assert reply.status_code == 401, route.path
            assert reply.json()["code"] == "unauthorized"
            assert reply.headers["www-authenticate"].startswith("Bearer")
            checked += 1
    assert checked > 15


async def test_a_reader_reads_a_producer_reports_an_operator_cancels(door: Locked) -> None:
    reader, producer, operator = door.holder("reader"), door.holder("producer"), door.holder("operator")
    assert (await door.begin(reader, "r", "job")).status_code == 403
    assert (await door.begin(producer, "r", "job")).status_code == 201
    assert (await door.http.get("/v1/runs/r", headers=reader)).status_code == 200
    body = {"events": [{"type": "ticked", "data": {"done": 1}}]}
    assert (await door.http.post("/v1/runs/r/events", json=body, headers=reader)).status_code == 403
    assert (await door.http.post("/v1/runs/r/events", json=body, headers=producer)).status_code == 201
    assert (await door.http.post("/v1/runs/r/cancel", headers=producer)).status_code == 403
    assert (await door.http.post("/v1/runs/r/cancel", headers=operator)).status_code == 202


async def test_a_run_of_another_kind_is_nowhere_for_its_reader(door: Locked) -> None:
    everything, held = door.holder("operator"), door.holder("reader", kinds="mine*")
    await door.begin(everything, "m", "mine")
    await door.begin(everything, "s", "secret", slot="place", labels={"gate": "true"})
    get = door.http.get
    for path in (
        "/v1/runs/s",
        "/v1/runs/s/events",
        "/v1/runs/s?at=v1",
        "/v1/runs/s/eta",
        "/v1/runs/s/stream",
    ):
        seen, absent = await get(path, headers=held), await get(path.replace("/s", "/x", 1), headers=held)
        assert seen.status_code == 404, path
        assert absent.status_code == 404, path
        assert seen.text.replace("'s'", "'x'").replace('"s"', '"x"') == absent.text
    listed = (await get("/v1/runs", headers=held)).json()
    assert [run["run_id"] for run in listed["runs"]] == ["m"]
    assert listed["counts"]["running"] == 1
    assert (await get("/v1/runs?kind=secret", headers=held)).json()["runs"] == []
    assert (await get("/v1/runs/current?slot=place", headers=held)).status_code == 204
    batch = (await get("/v1/runs/batch?ids=m,s", headers=held)).json()
    assert ([run["run_id"] for run in batch["runs"]], batch["missing"]) == (["m"], ["s"])
    health = (await get("/healthz", headers=held)).json()
    assert health["runs"] == {"active": 1, "stalled": 0}
    assert health["gates"] == []
    assert "secret" not in json.dumps((await get("/v1/kinds", headers=held)).json())
    for path in ("/metrics", "/v1/log", "/v1/log/checkpoint", "/v1/log/tile/0/000"):
        assert (await get(path, headers=held)).status_code == 404, path


async def test_a_producer_of_one_kind_writes_no_other(door: Locked) -> None:
    everything, held = door.holder("operator"), door.holder("producer", kinds="mine")
    await door.begin(everything, "s", "secret", slot="place")
    before = (await door.http.get("/v1/runs/s", headers=everything)).json()["version"]
    assert (await door.begin(held, "n", "secret")).status_code == 403
    event = {"type": "ticked", "data": {"done": 1}}
    reply = await door.http.post("/v1/runs/s/events", json={"events": [event]}, headers=held)
    assert (reply.status_code, reply.json()["code"]) == (404, "run_not_found")
    first = {"type": "started", "data": {"kind": "secret"}}
    assert (
        await door.http.post("/v1/runs/n/events", json={"events": [first]}, headers=held)
    ).status_code == 403
    lines = "\n".join(json.dumps({"run_id": run_id, **line}) for run_id, line in (("s", event), ("n", first)))
    ingested = await door.http.post(
        "/v1/events", content=lines, headers={**held, "Content-Type": "application/x-ndjson"}
    )
    assert ingested.json()["accepted"] == 0
    assert [line["code"] for line in ingested.json()["refused"]] == ["run_not_found", "forbidden"]
    taken = await door.begin(held, "m", "mine", slot="place")
    assert taken.status_code == 409
    assert taken.json()["code"] == "slot_taken"
    assert "run" not in taken.json()
    assert (await door.http.get("/v1/runs/s", headers=everything)).json()["version"] == before


async def test_without_a_token_health_tells_only_whether_it_lives_and_is_gated(door: Locked) -> None:
    operator = door.holder("operator")
    await door.begin(operator, "g", "migration", labels={"gate": "true"})
    assert (await door.http.get("/healthz")).json() == {"status": "ok", "gated": True}


async def test_the_page_logs_in_with_a_cookie_that_no_script_reads(door: Locked) -> None:
    _, text = door.tokens.make("reader")
    assert (await door.http.post("/login", json="wrong")).status_code == 401
    reply = await door.http.post("/login", content=text)
    assert reply.status_code == 200
    set_cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in set_cookie
    assert "samesite=strict" in set_cookie
    assert COOKIE in door.http.cookies
    assert (await door.http.get("/v1/runs")).status_code == 200
    assert (await door.http.get("/login")).json()["role"] == "reader"
    await door.http.post("/logout")
    assert (await door.http.get("/v1/runs")).status_code == 401


async def test_a_wrong_token_is_told_from_none(door: Locked) -> None:
    door.holder("reader")
    without = await door.http.get("/v1/runs")
    wrong = await door.http.get("/v1/runs", headers={"Authorization": "Bearer nonsense"})
    assert without.status_code == wrong.status_code == 401
    assert "needs a token" in without.json()["detail"]
    assert "no valid token" in wrong.json()["detail"]
