"""Staged batch does what the system it stands for does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.running import run_example

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run_example("staged_batch", "--sheets", "300")


@pytest.mark.acceptance("D3", "D4", "D17", "D18")
def test_every_stage_is_done_and_the_totals_came_when_they_were_known(found: dict[str, Any]) -> None:
    stages = {stage["name"]: stage for stage in found["run"]["stages"]}
    assert all(stage["status"] == "done" for stage in stages.values())
    assert (stages["processing"]["done"], stages["processing"]["total"]) == (300, 300)
    assert len(stages) == 8


@pytest.mark.acceptance("D5")
def test_the_overall_percent_never_goes_down(found: dict[str, Any]) -> None:
    assert [viewer["falls"] for viewer in found["viewers"]] == [0, 0, 0, 0]


@pytest.mark.acceptance("D2", "D7", "D10", "D15")
def test_two_servers_on_one_file_stream_every_event_once(found: dict[str, Any]) -> None:
    first, second = found["viewers"][:2]
    assert (first["holes"], second["holes"]) == (0, 0)
    # All that came after the snapshot each of them began with.
    for viewer in (first, second):
        assert viewer["since"] < len(found["types"])
        assert viewer["events"] == len(found["types"]) - viewer["since"]


@pytest.mark.acceptance("D6", "D8", "A17")
def test_a_late_joiner_and_one_after_the_end_get_one_terminal_frame_and_the_end(
    found: dict[str, Any],
) -> None:
    for viewer in found["viewers"]:
        assert (viewer["terminals"], viewer["last"], viewer["final"]) == (1, "completed", True)
        assert viewer["first"] == ["hello", "snapshot"]


@pytest.mark.acceptance("D12")
def test_a_failed_batch_keeps_its_stage_and_percent(found: dict[str, Any]) -> None:
    failed = found["failed"]
    assert failed["status"] == "failed"
    assert failed["stage"] == "uploading"
    assert "BadZipFile" in failed["error"]


@pytest.mark.acceptance("D14", "D23")
def test_two_processes_tick_one_run(found: dict[str, Any]) -> None:
    assert found["types"].count("completed") == 1
    assert found["run"]["status"] == "completed"
