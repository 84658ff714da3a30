"""Bodies of requests, as bytes: what is refused is refused with a reason, and nothing of it is stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from httpx import QueryParams
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.asking import Api, api

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
async def begun(tmp_path: Path) -> AsyncIterator[Api]:
    async with api(tmp_path / "p.db") as made:
        await made.begin("r")
        yield made


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_types = st.sampled_from(
    ("ticked", "noted", "started", "completed", "rewound", "paused", "heartbeat", "x", "")
)
_fields = st.sampled_from(
    ("done", "advance", "counts", "total", "message", "stage", "level", "occurred_at", "zz")
)
_event = st.fixed_dictionaries(
    {"type": _types | _json, "data": st.dictionaries(_fields, _json, max_size=3) | _json},
    optional={"event_id": st.text(max_size=4) | _json, "run_id": st.just("r") | st.text(max_size=6)},
)


def _bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _spoilt(parts: tuple[bytes, int, bytes]) -> bytes:
    body, at, more = parts
    at %= len(body) + 1
    return body[:at] + more + body[at + len(more) :]


def _body(value: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    whole = value.map(_bytes)
    return st.one_of(
        whole,
        st.tuples(whole, st.integers(0, 500), st.binary(max_size=6)).map(_spoilt),
        st.binary(max_size=60),
    )


async def _post(begun: Api, path: str, body: bytes) -> tuple[int, Any, int]:
    """Status, answer, and by how much the log grew."""
    before = await begun.count()
    answer = await begun.http.post(path, content=body)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json(), await begun.count() - before


@_quick
@given(body=_body(st.fixed_dictionaries({"events": st.lists(_event, max_size=3) | _json})))
async def test_events_are_stored_all_or_refused_all(begun: Api, body: bytes) -> None:
    status, answer, grown = await _post(begun, "/v1/runs/r/events", body)
    if status == 201:
        assert grown > 0
    else:
        assert status in (200, 400, 409, 413, 422), answer
        assert grown == 0


@_quick
@given(
    body=_body(
        st.dictionaries(
            st.sampled_from(
                ("run_id", "kind", "total", "labels", "stages", "slot", "status", "lease_seconds", "zz")
            ),
            st.just("k") | _json,
            max_size=5,
        )
    )
)
async def test_a_run_is_begun_or_refused(begun: Api, body: bytes) -> None:
    status, answer, grown = await _post(begun, "/v1/runs", body)
    assert status in (200, 201, 400, 409, 413, 422), answer
    assert grown == (status == 201)


@_quick
@given(lines=st.lists(_body(_event), max_size=5), end=st.sampled_from((b"", b"\n", b"\r\n")))
async def test_lines_are_each_stored_or_refused(begun: Api, lines: list[bytes], end: bytes) -> None:
    before = await begun.count()
    status, answer, grown = await _post(begun, "/v1/events", b"\n".join(lines) + end)
    assert status == 200, answer
    assert grown <= answer["accepted"]
    numbers = [refused["line"] for refused in answer["refused"]]
    assert numbers == sorted(set(numbers))
    assert all(refused["code"] and refused["detail"] for refused in answer["refused"])
    assert before + grown == await begun.count()


@_quick
@given(
    method=st.sampled_from(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "QUATSCH")),
    path=st.sampled_from(
        (
            "/v1/runs",
            "/v1/runs/",
            "/v1/runs/batch",
            "/v1/runs/current",
            "/v1/events",
            "/healthz",
            "/readyz",
            "/metrics",
            "/openapi.json",
            "/v1/log",
            "/v1/log/checkpoint",
            "/v1/log/tile/",
            "/v1/log/proof/inclusion",
            "/v1/log/proof/consistency",
            "/v1/runs/r",
            "/v1/runs/r/events",
            "/v1/runs/r/badge.svg",
            "/v1/kinds",
        )
    ),
    tail=st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    query=st.lists(
        st.tuples(
            st.sampled_from(
                (
                    "at",
                    "after",
                    "limit",
                    "cursor",
                    "ids",
                    "sort",
                    "status",
                    "label",
                    "q",
                    "kind",
                    "size",
                    "position",
                    "run",
                    "old",
                    "new",
                    "stalled",
                    "version",
                )
            ),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.integers(-1, 2**66).map(str),
        ),
        max_size=3,
    ),
)
async def test_no_address_and_no_query_makes_the_server_fail(
    begun: Api, method: str, path: str, tail: str, query: list[tuple[str, str]]
) -> None:
    from urllib.parse import quote

    place = path + quote(tail, safe="/.") if path.endswith("/") else path
    answer = await begun.http.request(method, place, params=QueryParams(tuple(query)))
    assert answer.status_code < 500, (answer.status_code, answer.text)
