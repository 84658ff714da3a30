"""A run is begun once, seen as it is and as it was, and asked to stop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from progress_ledger.ledger.audit.prune import Retention, prune
from tests.api.asking import Api

pytestmark = pytest.mark.anyio


async def test_a_run_is_created_and_its_address_given(asked: Api) -> None:
    reply = await asked.http.post("/v1/runs", json={"kind": "qa", "total": 5, "labels": {"a": "b"}})
    assert reply.status_code == 201
    run = reply.json()
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", run["run_id"])
    assert reply.headers["location"] == f"/v1/runs/{run['run_id']}"
    assert (run["status"], run["total"], run["labels"], run["version"]) == ("running", 5, {"a": "b"}, 1)
    assert (await asked.http.get(reply.headers["location"])).json()["run_id"] == run["run_id"]


async def test_a_run_may_begin_queued(asked: Api) -> None:
    run = await asked.begin("r", status="queued")
    assert run["status"] == "queued"
    assert run["queued_at"] is not None
    assert run["started_at"] is None


async def test_the_same_run_again_is_answered_and_nothing_is_appended(asked: Api) -> None:
    first = await asked.begin("r", total=3)
    again = await asked.http.post("/v1/runs", json={"run_id": "r", "kind": "job", "total": 3})
    assert again.status_code == 200
    assert again.json()["version"] == first["version"] == await asked.count() == 1
    other = await asked.http.post("/v1/runs", json={"run_id": "r", "kind": "job", "total": 4})
    assert (other.status_code, other.json()["code"]) == (409, "run_exists")


async def test_a_held_slot_is_refused_with_the_snapshot_of_its_holder(asked: Api) -> None:
    await asked.begin("first", slot="nightly", total=8)
    await asked.append("first", {"type": "ticked", "data": {"done": 2}})
    reply = await asked.http.post("/v1/runs", json={"kind": "job", "slot": "nightly"})
    assert (reply.status_code, reply.json()["code"]) == (409, "slot_taken")
    holder = reply.json()["run"]
    assert (holder["run_id"], holder["percent"], holder["version"]) == ("first", 25.0, 2)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": 5}, "kind"),
        ({"kind": "k", "run_id": "a/b"}, "run_id"),
        ({"kind": "k", "run_id": "a..b"}, "run_id"),
        ({"kind": "k", "run_id": "current"}, "run_id"),
        ({"kind": "k", "run_id": "batch"}, "run_id"),
        ({"kind": "k", "run_id": ""}, "run_id"),
        ({"kind": "k", "run_id": "x" * 129}, "run_id"),
        ({"kind": "k", "run_id": 7}, "run_id"),
        ({"kind": "k", "status": "completed"}, "status"),
        ({"kind": "k", "status": []}, "status"),
        ({"kind": "k", "total": -1}, "total"),
        ({"kind": "k", "total": 2**63}, "total"),
        ({"kind": "k", "total": 1.5}, "total"),
        ({"kind": "k", "labels": {str(n): "x" for n in range(10_000)}}, "labels"),
        ({"kind": "k", "labels": {"a": 1}}, "labels"),
        ({"kind": "k", "nonsense": 1}, "nonsense"),
        ({"kind": "k", "parent": "../x"}, "parent"),
    ],
)
async def test_a_spec_that_cannot_be_is_refused_by_field(
    asked: Api, body: dict[str, object], field: str
) -> None:
    reply = await asked.http.post("/v1/runs", json=body)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_run"), reply.text
    assert field in reply.json()["detail"]
    assert await asked.count() == 0
    await asked.begin("next")


async def test_a_snapshot_has_a_tag_that_changes_with_version_and_stalled_only(asked: Api) -> None:
    await asked.begin("r", stall_seconds=60)
    first = await asked.http.get("/v1/runs/r")
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    asked.clock.now += 30
    same = await asked.http.get("/v1/runs/r", headers={"If-None-Match": f'"other", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    asked.clock.now += 31
    stalled = await asked.http.get("/v1/runs/r", headers={"If-None-Match": tag})
    assert stalled.status_code == 200
    assert stalled.json()["stalled"] is True
    await asked.append("r", {"type": "ticked", "data": {"advance": 1}})
    moved = await asked.http.get("/v1/runs/r", headers={"If-None-Match": stalled.headers["etag"]})
    assert moved.status_code == 200
    assert moved.headers["etag"] not in (tag, stalled.headers["etag"])


async def test_an_unknown_run_is_not_found_whatever_its_id_looks_like(asked: Api) -> None:
    for run_id in ("nope", "a..b", "%00", "x" * 300, "%F0%9F%98%80", "caf%C3%A9"):
        reply = await asked.http.get(f"/v1/runs/{run_id}")
        assert (reply.status_code, reply.json()["code"]) == (404, "run_not_found"), run_id
    assert (await asked.http.get("/v1/runs/a%2Fb")).status_code == 404


async def test_a_run_is_seen_as_it_was_at_a_version_a_position_and_a_time(asked: Api) -> None:
    await asked.begin("r", total=10)
    await asked.begin("other")
    asked.clock.now += 10
    await asked.append("r", {"type": "ticked", "data": {"done": 4}})
    between = (await asked.http.get("/v1/runs/r")).json()["updated_at"]
    asked.clock.now += 10
    await asked.append("r", {"type": "completed"})

    async def at(when: str) -> dict[str, object]:
        reply = await asked.http.get("/v1/runs/r", params={"at": when})
        assert reply.status_code == 200, reply.text
        run: dict[str, object] = reply.json()
        return run

    assert [(await at(f"v{n}"))["version"] for n in (1, 2, 3)] == [1, 2, 3]
    assert [(await at(str(n)))["version"] for n in (1, 2, 3, 4, 99)] == [1, 1, 2, 3, 3]
    then = await at(between)
    assert (then["version"], then["done"], then["status"]) == (2, 4, "running")
    assert (await at(between.replace("Z", "+00:00")))["version"] == 2
    plus = await asked.http.get(f"/v1/runs/r?at={between.replace('Z', '+00:00')}")
    assert plus.json()["version"] == 2


async def test_a_moment_that_has_not_come_is_now(asked: Api) -> None:
    await asked.begin("r", total=10)
    asked.clock.now += 10
    then = (await asked.http.get("/v1/runs/r?at=2999-01-01T00:00:00Z")).json()
    assert (then["elapsed_seconds"], then["stalled"]) == (10.0, False)


@pytest.mark.parametrize(
    ("at", "status", "code"),
    [
        ("v9", 404, "run_not_found"),
        ("0", 404, "run_not_found"),
        ("2000-01-01T00:00:00Z", 404, "run_not_found"),
        ("yesterday", 400, "malformed"),
        ("v", 400, "malformed"),
        ("-1", 400, "malformed"),
        ("", 400, "malformed"),
    ],
)
async def test_a_moment_that_cannot_be_shown_is_refused(asked: Api, at: str, status: int, code: str) -> None:
    await asked.begin("r")
    reply = await asked.http.get("/v1/runs/r", params={"at": at})
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_a_cancel_request_is_recorded_once(asked: Api) -> None:
    await asked.begin("r")
    reply = await asked.http.post("/v1/runs/r/cancel", json={"reason": "too slow", "by": "ada"})
    assert reply.status_code == 202
    assert (reply.json()["cancel_requested"], reply.json()["version"]) == (True, 2)
    again = await asked.http.post("/v1/runs/r/cancel")
    assert (again.status_code, again.json()["version"]) == (202, 2)


async def test_a_cancel_request_comes_too_late_for_a_run_that_is_over_or_never_was(asked: Api) -> None:
    await asked.begin("r")
    await asked.append("r", {"type": "failed", "data": {"error": "boom"}})
    late = await asked.http.post("/v1/runs/r/cancel")
    assert (late.status_code, late.json()["code"], late.json()["run_status"]) == (409, "run_ended", "failed")
    never = await asked.http.post("/v1/runs/nope/cancel")
    assert (never.status_code, never.json()["code"]) == (404, "run_not_found")
    await asked.begin("s")
    wrong = await asked.http.post("/v1/runs/s/cancel", json={"reason": 5})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_event")


async def test_a_pruned_run_is_gone_and_its_id_stays_taken(asked: Api, tmp_path: Path) -> None:
    await asked.begin("r", kind="old")
    await asked.append("r", {"type": "completed"})
    await asked.begin("kept", kind="old")
    asked.clock.now += 100 * 86_400
    await prune(asked.ledger, Retention(older_than=30 * 86_400.0, archive=tmp_path / "archive"))
    for path in ("/v1/runs/r", "/v1/runs/r?at=v1", "/v1/runs/r/events", "/v1/runs/r/stream"):
        reply = await asked.http.get(path)
        assert (reply.status_code, reply.json()["code"]) == (410, "pruned"), path
        assert str(tmp_path / "archive") in reply.json()["archive"]
    again = await asked.http.post("/v1/runs", json={"kind": "old", "run_id": "r"})
    assert (again.status_code, again.json()["code"]) == (409, "run_exists")
    assert (await asked.http.get("/v1/runs/kept")).status_code == 200
