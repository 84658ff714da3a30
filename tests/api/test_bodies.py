"""Bodies are bounded, and read only as what they say they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from progress_ledger.api import bodies
from tests.api.asking import Api

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Content-Type": "application/json"}, 201),
        ({"Content-Type": "Application/JSON; charset=UTF-8"}, 201),
        ({"Content-Type": 'application/json; charset="utf-8"'}, 201),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/jsonx"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "identity"}, 201),
    ],
)
async def test_only_json_in_utf_8_is_read(asked: Api, headers: dict[str, str], status: int) -> None:
    reply = await asked.http.post("/v1/runs", content=b'{"kind":"k"}', headers=headers)
    assert reply.status_code == status
    if status == 415:
        assert reply.json()["code"] == "malformed"
        assert await asked.count() == 0


async def test_a_body_of_unknown_length_is_bounded_while_it_comes(
    asked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1_000):
            taken += 1
            yield b" " * 65_536

    reply = await asked.http.post("/v1/runs", content=endless())
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
    assert taken <= bodies.MAX_BODY_BYTES // 65_536 + 2


async def test_an_empty_body_may_have_any_type(asked: Api) -> None:
    await asked.begin("r")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await asked.http.post("/v1/runs/r/cancel", headers=headers)).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"k","run_id":"\xff"}',
        b'{"kind":"k","status":"\xff"}',
        b'{"kind":"k","nobody knows":"\xff"}',
        b'{"kind":"\xed\xa0\x80"}',
    ],
)
async def test_what_is_not_utf_8_anywhere_is_malformed(asked: Api, body: bytes) -> None:
    reply = await asked.http.post("/v1/runs", content=body)
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed")
    assert "UTF-8" in reply.json()["detail"]
    assert await asked.count() == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
async def test_a_byte_order_mark_is_named_as_what_is_wrong(asked: Api, encoding: str) -> None:
    for path in ("/v1/runs", "/v1/runs/r/cancel"):
        reply = await asked.http.post(path, content='{"kind":"k"}'.encode(encoding))
        assert (reply.status_code, reply.json()["code"]) == (400, "malformed")
        assert "byte order mark" in reply.json()["detail"]
    lines = {"Content-Type": "application/x-ndjson"}
    reply = await asked.http.post("/v1/events", content="{}\n{}".encode(encoding), headers=lines)
    assert "byte order mark" in reply.json()["refused"][0]["detail"]
