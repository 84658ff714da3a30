"""Multipart upload does what the system it stands for does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.running import run_example

pytestmark = pytest.mark.timeout(180)
PART = 1 << 16


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run_example("multipart_upload")


@pytest.mark.acceptance("B1", "B3")
def test_the_callback_is_absolute_and_a_part_sent_again_counts_once(found: dict[str, Any]) -> None:
    assert found["said"]["plain"] == found["said"]["flaky"] == [PART, 2 * PART, 3 * PART]
    assert (found["flaky"]["status"], found["flaky"]["done"]) == ("completed", 3 * PART)


@pytest.mark.acceptance("B2", "B18")
def test_a_part_that_fails_does_not_advance_and_the_error_goes_on(found: dict[str, Any]) -> None:
    assert found["said"]["broken"] == [PART]
    broken = next(run for run in found["batch"]["runs"] if run["run_id"] == "broken")
    assert (broken["status"], broken["done"]) == ("failed", PART)
    assert "the store answered 503" in broken["error"]


@pytest.mark.acceptance("B7")
def test_the_log_keeps_the_progress_of_a_failed_upload(found: dict[str, Any]) -> None:
    assert [event["type"] for event in found["log"]] == ["started", "ticked", "failed"]


@pytest.mark.acceptance("B12")
def test_a_batch_answers_in_request_order_once_each_and_lists_what_is_missing(found: dict[str, Any]) -> None:
    assert [run["run_id"] for run in found["batch"]["runs"]] == ["small", "broken", "plain"]
    assert found["batch"]["missing"] == ["none"]


@pytest.mark.acceptance("B13")
def test_invalid_ids_are_400(found: dict[str, Any]) -> None:
    assert found["wrong"] == [[400, "invalid_ids"]] * 4


@pytest.mark.acceptance("B10")
def test_an_unknown_upload_is_404(found: dict[str, Any]) -> None:
    assert found["unknown"] == 404


@pytest.mark.acceptance("B5", "B19")
def test_a_small_file_jumps_to_done_and_nobody_looking_costs_nothing(found: dict[str, Any]) -> None:
    assert found["said"]["small"] == [8]
    assert found["stored"] == 3 + 3 + 1 + 1 + 3
