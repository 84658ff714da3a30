"""Cursors, headers and queries of stream requests, as bytes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from progress_ledger.api.app import create_app
from progress_ledger.ledger import Completed, Ledger, RunSpec, Ticked
from progress_ledger.projections.projector import Projector
from tests.api.streaming import parse

from .drive import ask

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_quick = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Served:
    def __init__(self, app: ASGIApp, epoch: str) -> None:
        self.app = app
        self.epoch = epoch


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A run that goes on and one that is over, both of five events."""
    path = tmp_path / "p.db"
    async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger) as projector:
        for run_id in ("on", "over"):
            await ledger.create(RunSpec(kind="k"), run_id=run_id)
            await ledger.append(run_id, [Ticked(advance=1)] * 3)
        await ledger.append("on", [Ticked(advance=1)])
        await ledger.append("over", [Completed()])
        yield Served(create_app(ledger, projector), ledger.epoch)


_header = st.binary(max_size=80).map(lambda value: re.sub(rb"[\r\n\0]", b"", value).strip())
_place = st.sampled_from(("/v1/runs/on/stream", "/v1/runs/over/stream", "/v1/stream"))
_cursor = st.one_of(
    _header,
    st.from_regex(rb"[A-Za-z0-9]{0,20}-[0-9]{0,25}", fullmatch=True),
    st.integers(-3, 30).map(lambda position: b"EPOCH-%d" % position),
    st.integers(0, 10**40).map(lambda position: b"EPOCH-%d" % position),
)


@_quick
@given(place=_place, cursor=_cursor, by_query=st.booleans())
async def test_any_cursor_is_greeted_and_never_an_error(
    served: Served, place: str, cursor: bytes, by_query: bool
) -> None:
    cursor = cursor.replace(b"EPOCH", served.epoch.encode())
    query = b"last_event_id=" + cursor.replace(b"&", b"").replace(b"#", b"") if by_query else b""
    headers = [] if by_query else [(b"last-event-id", cursor)]
    answer = await ask(served.app, "GET", place, query=query, headers=headers)
    if answer.status == 204:
        # Only for a run that is over, and a cursor at its end or later in this log.
        assert place == "/v1/runs/over/stream"
        return
    assert answer.status == 200
    frames, _, rest = parse(answer.body)
    assert not rest
    assert frames[0].event == "hello"
    status = frames[0].data["status"]
    if status != "resumed":
        named = {frame.event for frame in frames}
        assert "snapshot" in named or place == "/v1/stream"
    else:
        positions = [frame.position for frame in frames if "event" in frame.data]
        assert positions == sorted(set(positions))


@_quick
@given(
    place=_place,
    query=st.one_of(
        st.binary(max_size=60),
        st.tuples(
            st.sampled_from(
                (
                    b"every",
                    b"fields",
                    b"kind",
                    b"label",
                    b"scope",
                    b"run",
                    b"slot",
                    b"parent",
                    b"status",
                    b"q",
                    b"stalled",
                    b"last_event_id",
                    b"lastEventId",
                )
            ),
            st.one_of(
                st.binary(max_size=30), st.sampled_from((b"250ms", b"1s", b"full", b"a:b", b"on,over"))
            ),
        ).map(lambda pair: pair[0] + b"=" + pair[1]),
    ),
    headers=st.lists(
        st.tuples(
            st.sampled_from((b"accept", b"origin", b"if-none-match", b"cookie", b"last-event-id")), _header
        ),
        max_size=3,
    ),
)
async def test_any_query_and_headers_are_served_or_refused_with_a_problem(
    served: Served, place: str, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    answer = await ask(served.app, "GET", place, query=query, headers=headers)
    assert answer.status in (200, 204, 400, 401, 406)
    if answer.status >= 400:
        assert answer.headers[b"content-type"] == b"application/problem+json"
