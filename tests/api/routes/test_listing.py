"""The list filters, counts and pages; the current run of a job; some runs by their ids."""

from __future__ import annotations

from typing import Any

import pytest

from progress_ledger.ledger.log import RunFilter, RunPage
from tests.api.asking import Api

pytestmark = pytest.mark.anyio


async def _ids(asked: Api, query: str) -> list[str]:
    reply = await asked.http.get(f"/v1/runs?{query}")
    assert reply.status_code == 200, reply.text
    return [run["run_id"] for run in reply.json()["runs"]]


async def _zoo(asked: Api) -> None:
    await asked.begin("a", kind="qa", scope="repo:1", labels={"team": "x"}, title="Nightly Check")
    await asked.begin("b", kind="qa", scope="repo:2", labels={"team": "y", "gate": ""})
    await asked.begin("c", kind="sync", parent="a", status="queued")
    await asked.begin("d", kind="sync", labels={"team": "x"})
    await asked.append("d", {"type": "completed"})
    await asked.begin("e", kind="sync")
    await asked.append("e", {"type": "failed", "data": {"error": "no"}})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "edcba"),
        ("sort=created", "abcde"),
        ("sort=-created", "edcba"),
        ("kind=qa", "ba"),
        ("kind=qa&kind=sync", "edcba"),
        ("kind=none", ""),
        ("scope=repo:1", "a"),
        ("status=running", "ba"),
        ("status=running,queued", "cba"),
        ("status=failed&status=completed", "ed"),
        ("label=team:x", "da"),
        ("label=team:x&kind=qa", "a"),
        ("label=team:y&label=gate:", "b"),
        ("parent=a", "c"),
        ("q=nightly", "a"),
        ("q=REPO", "ba"),
        ("q=%25", ""),
        ("run=a,c", "ca"),
        ("stalled=true", ""),
        ("stalled=false&status=running", "ba"),
        ("unknown=1", "edcba"),
    ],
)
async def test_the_list_is_filtered_and_sorted(asked: Api, query: str, expected: str) -> None:
    await _zoo(asked)
    assert await _ids(asked, query) == list(expected)


async def test_counts_are_of_the_same_filters_less_status_and_stalled(asked: Api) -> None:
    await _zoo(asked)
    nothing = dict.fromkeys(
        ("running", "stalled", "queued", "paused", "completed", "failed", "cancelled", "interrupted"), 0
    )
    everything = (await asked.http.get("/v1/runs?status=failed&stalled=true&limit=1")).json()["counts"]
    assert everything == nothing | {"running": 2, "queued": 1, "completed": 1, "failed": 1}
    one_kind = (await asked.http.get("/v1/runs?kind=sync")).json()["counts"]
    assert one_kind == nothing | {"queued": 1, "completed": 1, "failed": 1}


async def test_a_stalled_run_counts_as_stalled_and_not_as_running(asked: Api) -> None:
    for number in range(7):
        await asked.begin(f"r{number}", kind="even" if number % 2 == 0 else "odd", stall_seconds=60)
    asked.clock.now += 61
    for number in (0, 1, 2):
        await asked.append(f"r{number}", {"type": "ticked", "data": {"advance": 1}})
    counts = (await asked.http.get("/v1/runs")).json()["counts"]
    assert (counts["running"], counts["stalled"]) == (3, 4)
    counts = (await asked.http.get("/v1/runs?kind=odd&stalled=false")).json()["counts"]
    assert (counts["running"], counts["stalled"]) == (1, 2)
    assert await _ids(asked, "stalled=true") == ["r6", "r5", "r4", "r3"]
    assert await _ids(asked, "stalled=true&run=r4,r1") == ["r4"]
    assert await _ids(asked, "stalled=false&limit=2&sort=created") == ["r0", "r1"]


@pytest.mark.parametrize("query", ["", "stalled=false&", "stalled=true&"])
async def test_pages_neither_skip_nor_repeat_while_runs_come_and_go(asked: Api, query: str) -> None:
    for number in range(30):
        await asked.begin(f"r{number:02}", stall_seconds=60)
    asked.clock.now += 61
    for number in range(0, 30, 3):
        await asked.append(f"r{number:02}", {"type": "ticked", "data": {"advance": 1}})
    expected = set(await _ids(asked, f"{query}limit=500"))
    seen: list[str] = []
    cursor = ""
    pages = 0
    while True:
        reply = (await asked.http.get(f"/v1/runs?{query}limit=4{cursor}")).json()
        assert len(reply["runs"]) <= 4
        seen += [run["run_id"] for run in reply["runs"]]
        pages += 1
        await asked.begin(f"new{pages}")
        if reply["next"] is None:
            break
        cursor = f"&cursor={reply['next']}"
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("sort=kind", "sort"),
        ("status=busy", "status"),
        ("stalled=maybe", "stalled"),
        ("label=team", "label"),
        ("cursor=zzz", "cursor"),
        ("cursor=%00%ff", "cursor"),
    ],
)
async def test_a_question_that_is_not_understood_is_refused(asked: Api, query: str, field: str) -> None:
    reply = await asked.http.get(f"/v1/runs?{query}")
    assert (reply.status_code, reply.json()["code"], reply.json()["field"]) == (400, "malformed", field)


async def test_a_cursor_of_the_other_order_is_refused(asked: Api) -> None:
    for run_id in ("a", "b", "c"):
        await asked.begin(run_id)
    cursor = (await asked.http.get("/v1/runs?limit=1")).json()["next"]
    assert (await asked.http.get(f"/v1/runs?limit=1&sort=created&cursor={cursor}")).status_code == 400


async def test_the_current_run_is_the_newest_active_one(asked: Api) -> None:
    async def current(query: str) -> tuple[int, str | None]:
        reply = await asked.http.get(f"/v1/runs/current?{query}")
        return reply.status_code, reply.json()["run_id"] if reply.content else None

    await asked.begin("old", kind="qa", scope="s", slot="one")
    await asked.begin("new", kind="qa")
    assert await current("kind=qa") == (200, "new")
    assert await current("kind=qa&scope=s") == (200, "old")
    assert await current("slot=one") == (200, "old")
    assert await current("slot=two") == (204, None)
    await asked.append("new", {"type": "completed"})
    assert await current("kind=qa") == (200, "old")
    await asked.append("old", {"type": "completed"})
    assert await current("kind=qa") == (204, None)
    refused = await asked.http.get("/v1/runs/current")
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")
    assert (await asked.http.get("/v1/runs/current?kind=")).status_code == 400


async def test_a_newest_run_that_ends_while_it_is_asked_for_leaves_the_next_one(
    asked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked.begin("old", kind="qa")
    await asked.begin("new", kind="qa")
    read = asked.ledger.log.runs

    async def then_it_ends(where: RunFilter, **options: Any) -> RunPage:
        page = await read(where, **options)
        await asked.append("new", {"type": "completed"})
        return page

    monkeypatch.setattr(asked.ledger.log, "runs", then_it_ends)
    assert (await asked.http.get("/v1/runs/current?kind=qa")).json()["run_id"] == "old"


async def test_the_current_run_has_a_tag(asked: Api) -> None:
    await asked.begin("r", kind="qa")
    tag = (await asked.http.get("/v1/runs/current?kind=qa")).headers["etag"]
    again = await asked.http.get("/v1/runs/current?kind=qa", headers={"If-None-Match": tag})
    assert again.status_code == 304


async def test_a_batch_comes_in_the_order_asked_for_once_each(asked: Api) -> None:
    for run_id in ("a", "b", "c"):
        await asked.begin(run_id)
    reply: dict[str, Any] = (await asked.http.get("/v1/runs/batch?ids=c,x,a,c,y,a")).json()
    assert [run["run_id"] for run in reply["runs"]] == ["c", "a"]
    assert reply["missing"] == ["x", "y"]
    assert (await asked.http.get("/v1/runs/batch?ids=c,x&ids=a&ids=y,c")).json()["runs"] == reply["runs"]


@pytest.mark.parametrize(
    "ids", ["", ",", "a,,b", "a/b", "..", "current", "a,%00", ",".join(f"r{n}" for n in range(101))]
)
async def test_a_batch_that_cannot_be_is_refused(asked: Api, ids: str) -> None:
    reply = await asked.http.get(f"/v1/runs/batch?ids={ids}")
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_ids")
    without = await asked.http.get("/v1/runs/batch")
    assert (without.status_code, without.json()["code"]) == (400, "invalid_ids")
    full = ",".join(f"r{n}" for n in range(100))
    assert len((await asked.http.get(f"/v1/runs/batch?ids={full}")).json()["missing"]) == 100
