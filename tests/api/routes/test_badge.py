"""Badges: what they say of each state, for any text, and of runs that are not there."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.api.app import create_app
from progress_ledger.api.routes.badge import Badge, badge_of, svg
from progress_ledger.ledger import Ledger
from progress_ledger.projections import Projector

pytestmark = pytest.mark.anyio

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    path = tmp_path / "ledger.db"
    async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger) as projector:
        transport = httpx.ASGITransport(create_app(ledger, projector))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


async def begin(client: httpx.AsyncClient, run_id: str, **spec: Any) -> None:
    (await client.post("/v1/runs", json={"run_id": run_id, "kind": "qa", **spec})).raise_for_status()


async def add(client: httpx.AsyncClient, run_id: str, kind: str, **data: Any) -> None:
    body = {"events": [{"type": kind, "data": data}]}
    (await client.post(f"/v1/runs/{run_id}/events", json=body)).raise_for_status()


def words(answer: httpx.Response) -> str:
    assert answer.headers["content-type"].startswith("image/svg+xml")
    title = ElementTree.fromstring(answer.content).find(f"{SVG}title")
    assert title is not None
    return title.text or ""


async def test_a_badge_of_a_run_follows_it_and_never_says_100_before_the_end(
    client: httpx.AsyncClient,
) -> None:
    await begin(client, "qa-1", total=8, title="Season 4")
    await add(client, "qa-1", "ticked", done=5)
    assert words(await client.get("/badge.svg?run=qa-1")) == "Season 4: 62 %"
    await add(client, "qa-1", "ticked", done=8)
    assert words(await client.get("/badge.svg?run=qa-1")) == "Season 4: 99 %"
    await add(client, "qa-1", "paused")
    assert words(await client.get("/badge.svg?run=qa-1&label=QA")) == "QA: paused at 99 %"
    await add(client, "qa-1", "failed", error="x")
    assert words(await client.get("/badge.svg?run=qa-1")) == "Season 4: failed"


async def test_a_badge_of_a_kind_or_slot_shows_the_newest_active_run_and_else_the_newest(
    client: httpx.AsyncClient,
) -> None:
    assert words(await client.get("/badge.svg?kind=qa")) == "qa: no run"
    await begin(client, "qa-1", total=4, slot="one")
    await begin(client, "qa-2")
    await add(client, "qa-2", "ticked", done=1200)
    await add(client, "qa-2", "completed")
    assert words(await client.get("/badge.svg?kind=qa")) == "qa: 0 %"
    await add(client, "qa-1", "interrupted", reason="gone")
    assert words(await client.get("/badge.svg?kind=qa")) == "qa: completed"
    assert words(await client.get("/badge.svg?slot=one")) == "one: interrupted"


async def test_an_unknown_total_shows_what_is_done(client: httpx.AsyncClient) -> None:
    await begin(client, "qa-1", unit="rows")
    await add(client, "qa-1", "ticked", done=1200)
    assert words(await client.get("/badge.svg?run=qa-1")) == "qa-1: 1,200 rows"


async def test_an_unchanged_badge_is_not_sent_again(client: httpx.AsyncClient) -> None:
    await begin(client, "qa-1", total=4)
    first = await client.get("/badge.svg?run=qa-1")
    again = await client.get("/badge.svg?run=qa-1", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    await add(client, "qa-1", "ticked", done=2)
    changed = await client.get("/badge.svg?run=qa-1", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


async def test_a_run_that_is_not_there_is_a_badge_that_says_so_and_no_subject_is_a_refusal(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/badge.svg?run=nobody")
    assert (answer.status_code, words(answer)) == (404, "nobody: no run")
    assert (await client.get("/badge.svg")).json()["code"] == "malformed"


@given(st.text(), st.text())
def test_any_text_makes_a_document_without_markup_of_its_own(label: str, value: str) -> None:
    root = ElementTree.fromstring(svg(Badge(label, value, "#000")))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "clipPath", "rect", "g", "text"}
    assert int(root.get("width", "")) < 1100


def test_no_run_has_a_badge_too() -> None:
    assert badge_of(None, "qa") == Badge("qa", "no run", "#5a6472")
