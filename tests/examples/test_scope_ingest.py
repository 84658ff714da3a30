"""Per-scope ingest does what the system it stands for does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.running import run_example

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run_example("scope_ingest", "--items", "150")


def _scope(found: dict[str, Any], number: int) -> dict[str, Any]:
    name = f"github:repo:acme/project-{number:02}"
    run: dict[str, Any] = next(run for run in found["all"]["runs"] if run["scope"] == name)
    return run


@pytest.mark.acceptance("E1", "E12", "E25")
def test_thirty_scopes_run_at_once_and_all_are_listed(found: dict[str, Any]) -> None:
    counts = found["active"]["counts"]
    assert counts["running"] + counts["stalled"] == 30
    assert len(found["all"]["runs"]) == 30
    ids = [run["run_id"] for run in found["all"]["runs"]]
    assert len(set(ids)) == 30


@pytest.mark.acceptance("E4", "E17")
def test_an_estimate_that_does_not_come_in_time_is_unknown_and_blocks_nothing(found: dict[str, Any]) -> None:
    run = _scope(found, 1)
    fetching = next(stage for stage in run["stages"] if stage["name"] == "fetching")
    assert (run["status"], fetching["total"], fetching["done"]) == ("completed", None, 150)


@pytest.mark.acceptance("E7", "E24")
def test_an_estimate_that_is_too_low_or_zero_is_over_total_and_never_over_100(found: dict[str, Any]) -> None:
    for number in (2, 3):
        run = _scope(found, number)
        fetching = next(stage for stage in run["stages"] if stage["name"] == "fetching")
        assert fetching["done"] == 150
        assert fetching["done"] > fetching["total"]
        assert run["percent"] == 100.0


@pytest.mark.acceptance("E8")
def test_a_scope_goes_through_its_phases(found: dict[str, Any]) -> None:
    assert [stage["name"] for stage in _scope(found, 0)["stages"]] == [
        "pre_flight",
        "fetching",
        "normalizing",
        "persisting",
    ]


@pytest.mark.acceptance("E14", "E16")
def test_the_stalled_scope_is_seen_and_taken_out_of_running(found: dict[str, Any]) -> None:
    stalled = found["stalled"]
    assert [run["scope"] for run in stalled["runs"]] == ["github:repo:acme/project-07"]
    assert (stalled["counts"]["stalled"], stalled["counts"]["running"]) == (1, 0)
    assert _scope(found, 7)["status"] == "completed"


@pytest.mark.acceptance("E9", "E10")
def test_a_failed_scope_fails_alone_and_its_error_is_cut(found: dict[str, Any]) -> None:
    (failed,) = found["failed"]["runs"]
    assert failed["scope"].endswith("05")
    assert len(failed["error"]) == 4_000
    assert found["failed"]["counts"]["completed"] == 29


@pytest.mark.acceptance("E23")
def test_the_list_filters_by_label_and_scope(found: dict[str, Any]) -> None:
    assert len(found["tenant"]["runs"]) == 15
    assert [run["scope"] for run in found["one"]["runs"]] == ["github:repo:acme/project-02"]
