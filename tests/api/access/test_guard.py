"""A rebound name reaches nothing on loopback, and no foreign page changes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.api.access.guard import is_loopback, same_origin
from tests.api.asking import Api, api

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "127.9.9.9", "[::1]:8000", "app.localhost", "localhost."],
)
async def test_loopback_names_are_answered(tmp_path: Path, host: str) -> None:
    async with api(tmp_path / "p.db", loopback_only=True) as asked:
        assert (await asked.http.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "", "[", "0.0.0.0"],
)
async def test_other_names_are_refused_on_loopback(tmp_path: Path, host: str) -> None:
    async with api(tmp_path / "p.db", loopback_only=True) as asked:
        for path in ("/healthz", "/v1/runs", "/v1/stream", "/"):
            reply = await asked.http.get(path, headers={"Host": host})
            assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")


async def test_a_server_that_is_not_on_loopback_answers_to_any_name(asked: Api) -> None:
    assert (await asked.http.get("/healthz", headers={"Host": "ledger.example"})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "file://"},
        {"Origin": "http://127.0.0.1:port"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_change_from_another_origin_is_refused_and_a_read_is_not(
    asked: Api, headers: dict[str, str]
) -> None:
    for path in ("/v1/runs", "/v1/runs/r/events", "/v1/runs/r/cancel", "/v1/events"):
        reply = await asked.http.post(path, json={"kind": "k"}, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")
    assert await asked.count() == 0
    assert (await asked.http.get("/v1/runs", headers=headers)).status_code == 200


async def test_a_change_from_the_servers_own_page_is_allowed(asked: Api) -> None:
    headers = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert (await asked.http.post("/v1/runs", json={"kind": "k"}, headers=headers)).status_code == 201


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://a.example", "a.example", True),
        ("http://a.example:80", "a.example", True),
        ("https://a.example", "a.example:443", True),
        ("https://a.example", "a.example:80", False),
        ("http://A.example", "a.EXAMPLE", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://a.example:8000", "a.example:8001", False),
        ("http://b.example", "a.example", False),
        ("null", "a.example", False),
        ("", "", False),
        ("http://a.example:99999", "a.example", False),
    ],
)
def test_origins_are_compared_by_name_and_port(origin: str, host: str, same: bool) -> None:
    assert same_origin(origin, host) is same


def test_only_loopback_is_loopback() -> None:
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("::")
    assert not is_loopback("")
