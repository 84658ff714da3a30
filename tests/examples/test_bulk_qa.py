"""Bulk QA does what the system it stands for does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.running import run_example

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run_example("bulk_qa", "--limit", "120")


@pytest.mark.acceptance("A3", "A4", "A5", "A8")
def test_a_submit_is_a_snapshot_at_once_with_a_frozen_total(found: dict[str, Any]) -> None:
    run = found["run"]
    assert (run["status"], run["total"], run["unit"], run["slot"]) == ("completed", 121, "files", "bulk_qa")
    assert run["started_at"] <= run["updated_at"] <= run["finished_at"]


@pytest.mark.acceptance("A9", "A10", "A11")
def test_outcomes_add_up_to_what_is_done_and_a_failed_item_fails_no_run(found: dict[str, Any]) -> None:
    run = found["run"]
    assert sum(run["counts"].values()) == run["done"] == 121
    assert set(run["counts"]) <= {"passed", "qa_failed", "processing_failed", "skipped"}
    assert run["counts"]["skipped"] == 1
    assert run["error"] is None


@pytest.mark.acceptance("A12")
def test_a_second_submit_is_refused_and_told_who_holds_the_slot(found: dict[str, Any]) -> None:
    status, problem = found["second_submit_http"]
    assert (status, problem["code"]) == (409, "slot_taken")
    assert problem["run"]["run_id"] == found["killed"]["run_id"]
    assert problem["run"]["run_id"] in found["second_submit"]


@pytest.mark.acceptance("A13", "A24", "A25", "A26")
def test_the_killed_run_is_interrupted_with_its_counts_and_frees_the_slot(found: dict[str, Any]) -> None:
    killed = found["killed"]
    assert killed["status"] == "interrupted"
    assert killed["finished_at"] is not None
    assert sum(killed["counts"].values()) == killed["done"] == 51


@pytest.mark.acceptance("A14")
def test_current_is_204_or_the_newest_active(found: dict[str, Any]) -> None:
    assert found["none"] == 204
    assert found["current"] is True


@pytest.mark.acceptance("A7")
def test_an_empty_work_list_is_completed_at_once(found: dict[str, Any]) -> None:
    empty = found["empty"]
    assert (empty["status"], empty["total"], empty["percent"]) == ("completed", 0, 100.0)
