"""A kind says how long its runs take and how good its ETAs were; a run says why its ETA is what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.api.routes.kinds import sentences
from progress_ledger.projections.estimate import NOTHING

from ..asking import Api, api

pytestmark = pytest.mark.anyio


async def _run(
    http: Api, run_id: str, *, items: int = 20, until: int | None = None, kind: str = "job"
) -> None:
    await http.begin(run_id, kind=kind, total=items)
    for done in range(1, (until or items) + 1):
        http.clock.now += 1.0
        await http.append(run_id, {"type": "ticked", "data": {"done": done}})
    if until is None:
        await http.append(run_id, {"type": "completed", "data": {}})


async def test_a_kind_tells_its_runs_its_duration_and_its_past_errors(tmp_path: Path) -> None:
    async with api(tmp_path / "a.db") as http:
        for run_id in ("a", "b", "c"):
            await _run(http, run_id)
        found = (await http.http.get("/v1/kinds/job")).json()
    assert found["kind"] == "job"
    assert found["counts"]["completed"] == 3
    assert found["ended"] == {"completed": 3}
    assert found["typical_seconds"] == pytest.approx(20.0)
    assert found["typical_total"] == 20
    assert found["accuracy"] == {
        "runs": 3,
        "predictions": 12,
        "within_20_percent": 1.0,
        "mean_error": pytest.approx(0.0, abs=0.01),
    }
    assert [run["run_id"] for run in found["runs"]] == ["c", "b", "a"]
    assert [told["at_percent"] for told in found["runs"][0]["predictions"]] == [10, 25, 50, 75]
    assert found["runs"][0]["predictions"][2]["actual_seconds"] == pytest.approx(10.0)
    assert found["runs"][-1]["predictions"][0]["eta_basis"] == "mean"
    assert found["runs"][0]["predictions"][0]["eta_basis"] == "history:2"


async def test_a_staged_kind_tells_the_weights_of_its_stages(tmp_path: Path) -> None:
    async with api(tmp_path / "a.db") as http:
        await http.begin("a", stages=[{"name": "load"}, {"name": "work"}])
        for stage, seconds in (("load", 1.0), ("work", 3.0)):
            await http.append("a", {"type": "stage_changed", "data": {"stage": stage, "total": 2}})
            for done in (1, 2):
                http.clock.now += seconds
                await http.append("a", {"type": "ticked", "data": {"done": done}})
        await http.append("a", {"type": "completed", "data": {}})
        found = (await http.http.get("/v1/kinds/job")).json()
    assert [(stage["name"], stage["weight"]) for stage in found["stages"]] == [
        ("load", pytest.approx(0.25)),
        ("work", pytest.approx(0.75)),
    ]


async def test_all_kinds_are_listed_by_name(tmp_path: Path) -> None:
    async with api(tmp_path / "a.db") as http:
        for kind in ("b/two", "a"):
            await _run(http, kind.replace("/", "-"), kind=kind)
        found = (await http.http.get("/v1/kinds")).json()
        one = (await http.http.get("/v1/kinds/b%2Ftwo")).json()
    assert [kind["kind"] for kind in found["kinds"]] == ["a", "b/two"]
    assert one["kind"] == "b/two"


async def test_a_kind_whose_first_run_is_going_on_is_known_and_another_is_not(tmp_path: Path) -> None:
    async with api(tmp_path / "a.db") as http:
        await _run(http, "a", until=3)
        young = await http.http.get("/v1/kinds/job")
        unknown = await http.http.get("/v1/kinds/other")
    assert young.status_code == 200
    assert young.json()["typical_seconds"] is None
    assert young.json()["accuracy"]["within_20_percent"] is None
    assert unknown.status_code == 404
    assert unknown.json()["code"] == "kind_not_found"


async def test_a_run_explains_its_eta_in_sentences(tmp_path: Path) -> None:
    async with api(tmp_path / "a.db") as http:
        await _run(http, "a", until=10)
        alone = (await http.http.get("/v1/runs/a/eta")).json()
        for run_id in ("b", "c"):
            await _run(http, run_id)
        await _run(http, "d", until=10)
        shown = (await http.http.get("/v1/runs/d")).json()
        found = (await http.http.get("/v1/runs/d/eta")).json()
        missing = await http.http.get("/v1/runs/nobody/eta")
    assert alone["eta_basis"] == "mean"
    assert "own pace" in alone["because"][0]
    assert found["eta_seconds"] == shown["eta_seconds"] == pytest.approx(10.0, rel=0.1)
    assert found["eta_basis"] == "history:2"
    assert "last 2 completed runs" in found["because"][0]
    assert any("within 20 % of the truth 100% of the time (last 2 runs)" in told for told in found["because"])
    assert found["why"]["typical_seconds"] == pytest.approx(20.0)
    assert missing.status_code == 404
    assert missing.json()["code"] == "run_not_found"


async def test_every_state_of_a_run_has_its_sentence(tmp_path: Path) -> None:
    async with api(tmp_path / "a.db") as http:
        queued = await http.http.post("/v1/runs", json={"run_id": "q", "kind": "k", "status": "queued"})
        assert queued.status_code == 201
        await http.begin("n", kind="k")
        await _run(http, "all", items=3, until=3, kind="k")
        told = {
            run_id: (await http.http.get(f"/v1/runs/{run_id}/eta")).json()["because"][0]
            for run_id in ("q", "n", "all")
        }
        snapshot = await http.projector.snapshot("n")
    assert "not started" in told["q"]
    assert "no ground" in told["n"]
    assert "announced is done" in told["all"]
    assert snapshot is not None
    assert sentences(snapshot, NOTHING, None) == [told["n"]]
