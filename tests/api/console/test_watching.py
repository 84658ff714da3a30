"""A viewer knows each run as the stream told it."""

from __future__ import annotations

from typing import Any

from progress_ledger.api.console.sse_client import Frame
from progress_ledger.api.console.watching import Viewer


def _frame(name: str, /, **data: Any) -> Frame:
    return Frame(name, data, None)


def _hello(status: str = "new") -> Frame:
    return _frame("hello", status=status)


def _snapshot(run_id: str, **more: object) -> Frame:
    return _frame("snapshot", run={"run_id": run_id, "kind": "k", **more})


def test_changes_are_laid_over_what_was_known() -> None:
    viewer = Viewer()
    assert viewer.take(_hello()) is None
    viewer.take(_snapshot("r", percent=1.0, message="a"))
    run = viewer.take(_frame("ticked", event={"run_id": "r", "version": 2}, run={"percent": 2.0}))
    assert run == {"run_id": "r", "kind": "k", "percent": 2.0, "message": "a"} == viewer.runs["r"]


def test_a_change_of_a_run_that_is_not_known_tells_nothing() -> None:
    viewer = Viewer()
    assert viewer.take(_frame("ticked", event={"run_id": "r"}, run={"percent": 2.0})) is None
    assert viewer.runs == {}


def test_up_to_live_the_snapshots_are_the_whole_set() -> None:
    viewer = Viewer()
    for frame in (_hello(), _snapshot("a"), _snapshot("b"), _frame("live", runs=2)):
        viewer.take(frame)
    assert list(viewer.runs) == ["a", "b"]
    for frame in (_hello("reset"), _snapshot("b"), _snapshot("c"), _frame("live", runs=2)):
        viewer.take(frame)
    assert list(viewer.runs) == ["b", "c"]


def test_a_resumed_stream_adds_to_what_is_held() -> None:
    viewer = Viewer()
    for frame in (_hello(), _snapshot("a"), _frame("live", runs=1), _hello("resumed"), _snapshot("b")):
        viewer.take(frame)
    assert list(viewer.runs) == ["a", "b"]


def test_frames_that_are_about_no_run_are_left_out() -> None:
    viewer = Viewer()
    assert viewer.take(_frame("drain", reason="stopping")) is None
    assert viewer.take(_frame("busy")) is None
    assert viewer.take(_frame("of_a_newer_release", x=1)) is None
