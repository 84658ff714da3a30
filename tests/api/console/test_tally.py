"""A reader's account says what it missed and what it got twice."""

from __future__ import annotations

from progress_ledger.api.console.sse_client import Frame
from progress_ledger.api.console.tally import Tally


def _hello(status: str) -> Frame:
    return Frame("hello", {"status": status}, None)


def _snapshot(version: int) -> Frame:
    return Frame("snapshot", {"run": {"version": version}}, f"e-{version}")


def _event(version: int) -> Frame:
    return Frame("ticked", {"event": {"version": version}, "run": {}}, f"e-{version}")


def _tally(*frames: Frame) -> tuple[int, int, int, int]:
    tally = Tally()
    for frame in frames:
        tally.take(frame)
    return tally.events, tally.gaps, tally.repeats, tally.version


def test_an_unbroken_stream_has_neither_gaps_nor_repeats() -> None:
    assert _tally(_hello("new"), _snapshot(3), _event(4), _event(5)) == (2, 0, 0, 5)
    resumed = (_hello("new"), _snapshot(1), _event(2), _hello("resumed"), _event(3))
    assert _tally(*resumed) == (2, 0, 0, 3)


def test_what_is_left_out_is_a_gap() -> None:
    assert _tally(_snapshot(1), _event(2), _event(6)) == (2, 3, 0, 6)


def test_what_comes_again_is_a_repeat() -> None:
    assert _tally(_snapshot(2), _event(2), _event(3), _event(3)) == (1, 0, 2, 3)


def test_a_later_snapshot_stands_for_events_that_were_missed() -> None:
    assert _tally(_snapshot(1), _event(2), _hello("reset"), _snapshot(5), _event(6)) == (2, 3, 0, 6)
    assert _tally(_snapshot(1), _event(2), _hello("reset"), _snapshot(2), _event(3)) == (2, 0, 0, 3)


def test_resumptions_are_counted() -> None:
    tally = Tally()
    for status in ("new", "resumed", "reset", "resumed"):
        tally.take(_hello(status))
    assert tally.resumed == 2
