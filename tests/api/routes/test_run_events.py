"""Events go into a run whole or not at all, and come back as they were stored."""

from __future__ import annotations

import json

import pytest

from progress_ledger.api.routes import run_events
from tests.api.asking import Api

pytestmark = pytest.mark.anyio

TICK = {"type": "ticked", "data": {"advance": 1}}


async def test_events_are_answered_with_receipts_and_the_run(asked: Api) -> None:
    await asked.begin("r", total=4)
    reply = await asked.append(
        "r", TICK, {"type": "noted", "data": {"message": "half"}}, {"type": "heartbeat"}
    )
    assert reply.status_code == 201
    assert reply.json()["receipts"] == [{"position": n, "version": n} for n in (2, 3, 4)]
    assert (reply.json()["run"]["done"], reply.json()["run"]["message"]) == (1, "half")


async def test_events_may_begin_a_run(asked: Api) -> None:
    reply = await asked.append("r", {"type": "started", "data": {"kind": "k"}}, TICK, expected_version=0)
    assert reply.status_code == 201
    missing = await asked.append("s", TICK)
    assert (missing.status_code, missing.json()["code"]) == (404, "run_not_found")


async def test_what_is_known_already_is_answered_with_the_first_receipt(asked: Api) -> None:
    await asked.begin("r")
    event = {**TICK, "event_id": "e1"}
    first = await asked.append("r", event)
    again = await asked.append("r", event)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["receipts"] == first.json()["receipts"]
    both = await asked.append("r", event, TICK)
    assert both.status_code == 201
    other = await asked.append("r", {"type": "heartbeat", "event_id": "e1"})
    assert (other.status_code, other.json()["code"]) == (409, "event_id_conflict")


async def test_conflicts_carry_what_is_needed_to_decide_anew(asked: Api) -> None:
    await asked.begin("r")
    wrong = await asked.append("r", TICK, expected_version=7)
    assert (wrong.status_code, wrong.json()["code"]) == (409, "version_conflict")
    assert wrong.json()["current_version"] == 1
    early = await asked.append("r", {"type": "resumed"})
    assert (early.status_code, early.json()["code"]) == (409, "invalid_transition")
    assert (early.json()["run_status"], early.json()["event_type"], early.json()["status"]) == (
        "running",
        "resumed",
        409,
    )
    assert (await asked.append("r", {"type": "completed"})).status_code == 201
    assert (await asked.append("r", {"type": "completed"})).status_code == 200
    late = await asked.append("r", TICK)
    assert (late.status_code, late.json()["code"]) == (409, "run_ended")


async def test_one_wrong_event_refuses_the_whole_request_and_is_named(asked: Api) -> None:
    await asked.begin("r")
    reply = await asked.append("r", TICK, {"type": "ticked", "data": {"done": -1}}, TICK)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_event")
    assert reply.json()["field"] == "events[1].data.done"
    assert await asked.count() == 1


async def test_the_producers_clock_may_stand_beside_the_data_or_in_it(asked: Api) -> None:
    await asked.begin("r")
    when = "2026-01-02T03:04:05.000000Z"
    reply = await asked.append(
        "r",
        {**TICK, "occurred_at": "2026-01-02T04:04:05+01:00"},
        {"type": "ticked", "data": {"advance": 1, "occurred_at": when}},
        {"type": "heartbeat", "occurred_at": when},
    )
    assert reply.status_code == 201
    events = (await asked.http.get("/v1/runs/r/events?after=1")).json()["events"]
    assert [event["data"]["occurred_at"] for event in events] == [when] * 3
    assert all("occurred_at" not in event for event in events)
    twice = await asked.append("r", {"type": "heartbeat", "occurred_at": when, "data": {"occurred_at": when}})
    assert (twice.status_code, twice.json()["field"]) == (422, "events[0].occurred_at")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"", 400, "malformed"),
        (b"not json", 400, "malformed"),
        (b'{"events":[{"type":"noted","data":{"message":"\xff"}}]}', 400, "malformed"),
        (b'{"events":[{"type":"noted","data":{"message":"\\ud800"}}]}', 400, "malformed"),
        (b'{"events":[{"type":"noted","data":{"message":"\\u0000"}}]}', 422, "invalid_event"),
        (b"[]", 422, "invalid_event"),
        (b"null", 422, "invalid_event"),
        (b"{}", 422, "invalid_event"),
        (b'{"events":[]}', 422, "invalid_event"),
        (b'{"events":{}}', 422, "invalid_event"),
        (b'{"events":[1]}', 422, "invalid_event"),
        (b'{"events":[{}]}', 422, "invalid_event"),
        (b'{"events":[{"type":5}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"exploded"}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat","data":null}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat","data":[]}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat","position":5}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat","event_id":""}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat","event_id":7}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat"}],"expected_version":-1}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat"}],"expected_version":"1"}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat"}],"more":1}', 422, "invalid_event"),
        (b'{"events":[{"type":"heartbeat","occurred_at":"noon"}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"ticked","data":{}}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"ticked","data":{"done":1,"advance":1}}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"ticked","data":{"done":9223372036854775808}}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"ticked","data":{"done":1e999}}]}', 422, "invalid_event"),
        (b'{"events":[{"type":"ticked","data":{"done":' + b"9" * 5_000 + b"}}]}", 422, "invalid_event"),
        (b'{"events":[{"type":"ticked","data":{"done":1,"nonsense":1}}]}', 422, "invalid_event"),
        (
            b'{"events":[{"type":"completed","data":{"result":' + b"[" * 9_000 + b"]" * 9_000 + b"}}]}",
            422,
            "invalid_event",
        ),
        (
            b'{"events":[{"type":"noted","data":{"message":"' + b"x" * 65_536 + b'"}}]}',
            413,
            "too_large",
        ),
        (b'{"events":[' + b'{"type":"heartbeat"},' * 10_000 + b'{"type":"heartbeat"}]}', 413, "too_large"),
        (b'{"events":[' + b" " * 8 * 1024 * 1024 + b"]}", 413, "too_large"),
    ],
    ids=range(34),
)
async def test_bad_input_gets_its_code_stores_nothing_and_the_next_request_works(
    asked: Api, body: bytes, status: int, code: str
) -> None:
    await asked.begin("r")
    reply = await asked.http.post(
        "/v1/runs/r/events", content=body, headers={"Content-Type": "application/json"}
    )
    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert len(reply.json()["detail"]) > 10
    assert await asked.count() == 1
    assert (await asked.append("r", TICK)).status_code == 201


@pytest.mark.parametrize("run_id", ["a..b", "current", "batch", "%00", "-x", "x" * 129, "a%20b"])
async def test_events_for_an_id_that_cannot_be_are_refused(asked: Api, run_id: str) -> None:
    body = {"events": [{"type": "started", "data": {"kind": "k"}}]}
    reply = await asked.http.post(f"/v1/runs/{run_id}/events", json=body)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_run")
    assert await asked.count() == 0


async def test_history_is_paged_by_version(asked: Api) -> None:
    await asked.begin("r")
    await asked.append("r", *[TICK] * 9)
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = (await asked.http.get("/v1/runs/r/events", params={"after": after, "limit": 4})).json()
        assert len(page["events"]) <= 4
        seen += [event["version"] for event in page["events"]]
        after = page["next"]
    assert seen == list(range(1, 11))
    beyond = (await asked.http.get("/v1/runs/r/events?after=99")).json()
    assert beyond == {"events": [], "next": None}


async def test_a_page_of_large_events_ends_early_and_goes_on_where_it_ended(
    asked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_events, "MAX_PAGE_BYTES", 1_000)
    await asked.begin("r")
    await asked.append("r", *[{"type": "noted", "data": {"message": "x" * 400}}] * 5)
    page = (await asked.http.get("/v1/runs/r/events")).json()
    assert 0 < len(page["events"]) < 6
    assert page["next"] == page["events"][-1]["version"]


async def test_history_is_streamed_as_the_stored_bytes_with_the_position_in_front(asked: Api) -> None:
    await asked.begin("r")
    await asked.append("r", *[{"type": "noted", "data": {"message": "naïve\u2028😀"}}] * 700)
    reply = await asked.http.get("/v1/runs/r/events?after=1", headers={"Accept": "application/x-ndjson"})
    assert reply.headers["content-type"].startswith("application/x-ndjson")
    assert reply.content.isascii()
    lines = reply.content.splitlines()
    assert len(lines) == 700
    stored = await asked.ledger.log.read(1, limit=700)
    for line, (position, body) in zip(lines, stored, strict=True):
        assert body is not None
        assert line == b'{"position":%d,' % position + bytes(body)[1:]
    assert json.loads(lines[0])["data"]["message"] == "naïve\u2028😀"
    some = await asked.http.get("/v1/runs/r/events?limit=3", headers={"Accept": "application/x-ndjson"})
    assert len(some.content.splitlines()) == 3


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after=-1", "after=1.5", "after=" + "9" * 30]
)
async def test_a_page_that_cannot_be_is_refused(asked: Api, query: str) -> None:
    await asked.begin("r")
    reply = await asked.http.get(f"/v1/runs/r/events?{query}")
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed")
    assert reply.json()["field"] == query.partition("=")[0]


async def test_the_history_of_an_unknown_run_is_not_found(asked: Api) -> None:
    for accept in ("application/json", "application/x-ndjson"):
        reply = await asked.http.get("/v1/runs/nope/events", headers={"Accept": accept})
        assert (reply.status_code, reply.json()["code"]) == (404, "run_not_found")
