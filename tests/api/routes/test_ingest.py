"""JSON lines of any runs: each stands alone, and memory is bounded whatever comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.api.routes import ingest
from progress_ledger.api.routes.ingest import Line, Lines
from tests.api.asking import Api

pytestmark = pytest.mark.anyio

NDJSON = {"Content-Type": "application/x-ndjson"}


def _line(run_id: str, type_: str, **data: object) -> bytes:
    return json.dumps({"run_id": run_id, "type": type_, "data": data}).encode()


async def test_lines_stand_alone_and_refusals_name_their_line(asked: Api) -> None:
    body = b"\n".join(
        [
            _line("a", "started", kind="k"),
            b"",
            _line("a", "ticked", advance=1),
            b"not json",
            _line("nobody", "ticked", advance=1),
            _line("a/b", "started", kind="k"),
            _line("a", "exploded"),
            b'{"type":"heartbeat"}',
            b"[]",
            b'{"run_id":"a","type":"noted","data":{"message":"\xff"}}',
            _line("b", "queued", kind="k"),
            _line("a", "completed"),
        ]
    )
    reply = await asked.http.post("/v1/events", content=body, headers=NDJSON)
    assert reply.status_code == 200
    assert reply.json()["accepted"] == 4
    refused = {each["line"]: each["code"] for each in reply.json()["refused"]}
    assert refused == {
        4: "malformed",
        5: "run_not_found",
        6: "invalid_run",
        7: "invalid_event",
        8: "invalid_event",
        9: "invalid_event",
        10: "malformed",
    }
    assert all(each["detail"] for each in reply.json()["refused"])
    assert list(refused) == sorted(refused)
    assert await asked.count() == 4


async def test_a_line_sent_again_is_accepted_and_nothing_is_appended(asked: Api) -> None:
    line = b'{"run_id":"a","type":"started","data":{"kind":"k"},"event_id":"e"}\r\n'
    for _ in range(2):
        reply = await asked.http.post("/v1/events", content=line, headers=NDJSON)
        assert reply.json() == {"accepted": 1, "refused": []}
    assert await asked.count() == 1


async def test_many_lines_go_in_batches(asked: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_BATCH_EVENTS", 100)
    before = asked.ledger.statistics.commits

    async def body() -> AsyncIterator[bytes]:
        yield _line("a", "started", kind="k") + b"\n"
        for _ in range(999):
            yield _line("a", "ticked", advance=1) + b"\n"

    reply = await asked.http.post("/v1/events", content=body(), headers=NDJSON)
    assert reply.json() == {"accepted": 1_000, "refused": []}
    assert asked.ledger.statistics.commits - before == 10
    assert (await asked.http.get("/v1/runs/a")).json()["done"] == 999


async def test_a_line_that_is_too_long_is_refused_and_the_next_one_read(asked: Api) -> None:
    body = b"x" * (ingest.MAX_LINE_BYTES + 1) + b"\n" + _line("a", "started", kind="k")
    reply = await asked.http.post("/v1/events", content=body, headers=NDJSON)
    assert reply.json()["accepted"] == 1
    assert [(each["line"], each["code"]) for each in reply.json()["refused"]] == [(1, "too_large")]


async def test_refusals_past_the_limit_are_counted(asked: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MAX_REFUSED", 3)
    reply = await asked.http.post("/v1/events", content=b"x\n" * 10, headers=NDJSON)
    assert len(reply.json()["refused"]) == 3
    assert reply.json()["more_refused"] == 7


async def test_a_server_that_stops_says_what_it_took(asked: Api) -> None:
    asked.drain.begin()
    reply = await asked.http.post(
        "/v1/events", content=_line("a", "started", kind="k") + b"\n", headers=NDJSON
    )
    assert (reply.status_code, reply.json()["code"], reply.json()["accepted"]) == (503, "unavailable", 1)
    assert await asked.count() == 1


async def test_another_content_type_is_refused(asked: Api) -> None:
    for told in ("application/x-www-form-urlencoded", "text/plain", "application/x-ndjson; charset=latin-1"):
        reply = await asked.http.post("/v1/events", content=b"x", headers={"Content-Type": told})
        assert (reply.status_code, reply.json()["code"]) == (415, "malformed")


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_however_a_body_is_cut_its_lines_are_the_same(body: bytes, cuts: list[int]) -> None:
    whole = Lines(longest=12)
    expected = [*whole.feed(body), *whole.end()]
    parted = Lines(longest=12)
    found: list[Line] = []
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    for start, end in pairwise(places):
        found += parted.feed(body[start:end])
    assert [*found, *parted.end()] == expected
    texts = [text.strip() if len(text) <= 12 else None for text in body.split(b"\n")]
    numbered = [Line(number, text) for number, text in enumerate(texts, 1)]
    assert expected == [line for line in numbered if line.text != b""]
