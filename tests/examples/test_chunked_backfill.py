"""Chunked backfill does what the system it stands for does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.running import run_example

pytestmark = pytest.mark.timeout(180)
ROWS = 60_000


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run_example("chunked_backfill", "--rows", str(ROWS))


@pytest.mark.acceptance("C1", "C2", "C27")
def test_every_row_that_can_be_mended_is_and_only_those_are_the_total(found: dict[str, Any]) -> None:
    run = found["run"]
    assert (run["status"], run["done"], run["total"]) == ("completed", ROWS * 99 // 100, ROWS * 99 // 100)
    assert found["left"] == ROWS // 100


@pytest.mark.acceptance("C4")
def test_it_ends_on_rows_it_cannot_mend(found: dict[str, Any]) -> None:
    assert (found["again"]["status"], found["again"]["total"], found["again"]["done"]) == ("completed", 0, 0)


@pytest.mark.acceptance("C21", "C24")
def test_the_health_page_shows_the_gate_while_it_runs_and_only_then(found: dict[str, Any]) -> None:
    (gate,) = found["gates"]
    assert gate["gates"][0]["name"] == "last-seen"
    assert (found["gate_before"]["gated"], found["gate_after"]["gated"]) == (False, False)


@pytest.mark.acceptance("C26")
def test_others_are_kept_waiting_for_a_chunk_and_not_for_the_table(found: dict[str, Any]) -> None:
    assert found["worst_ms"]["chunks"] < found["worst_ms"]["one_statement"]
    assert found["p95_ms"]["chunks"] < 500


@pytest.mark.acceptance("C19")
def test_unknown_is_null_and_nothing_left_is_0(found: dict[str, Any]) -> None:
    assert found["run"]["percent"] == 100.0
    assert found["run"]["elapsed_seconds"] > 0
