"""A log gets a line at each step and in each wait, never one for every event."""

from __future__ import annotations

from typing import Any

from progress_ledger.api.console.watch_plain import EVERY_SECONDS, PlainLog


def run(**fields: Any) -> dict[str, Any]:
    base = {
        "run_id": "r",
        "status": "running",
        "stalled": False,
        "stalled_seconds": 0.0,
        "stage": None,
        "cancel_requested": False,
        "percent": 0.0,
        "done": 0,
        "total": 100,
        "unit": None,
        "rate": 3.0,
        "eta_seconds": 41.0,
        "elapsed_seconds": 1.0,
        "error": None,
        "message": None,
    }
    return base | fields


def test_a_hundred_ticks_give_a_line_for_each_five_percent() -> None:
    log = PlainLog()
    lines = [line for done in range(101) for line in log.take(run(percent=float(done), done=done), None, 0.0)]
    assert len(lines) == 21
    assert "5.0 %  5/100  3/s, 0:41 left" in lines[1]


def test_a_silence_is_told_with_its_reason() -> None:
    log = PlainLog()
    log.take(run(), None, 0.0)
    assert log.tick(run(), EVERY_SECONDS - 1) == []
    stalled = run(stalled=True, stalled_seconds=75.0)
    assert "stalled" in log.take(stalled, None, 20.0)[0]
    (line,) = log.tick(stalled, 20.0 + EVERY_SECONDS)
    assert "waiting: no progress for 1:15" in line
    assert log.tick(stalled, 21.0 + EVERY_SECONDS) == []


def test_a_pause_is_told_with_the_reason_it_was_given() -> None:
    log = PlainLog()
    paused = {"type": "paused", "data": {"reason": "rate limit"}}
    first = log.take(run(status="paused"), paused, 0.0)
    assert any("paused: rate limit" in line for line in first)
    assert "waiting: paused, rate limit" in log.tick(run(status="paused"), EVERY_SECONDS)[0]


def test_a_run_that_has_not_begun_says_so() -> None:
    assert "waiting: not started yet" in PlainLog().take(run(status="queued", percent=None), None, 0.0)[0]


def test_notes_stages_and_the_end_are_told_at_once() -> None:
    log = PlainLog()
    log.take(run(), None, 0.0)
    note = {"type": "noted", "data": {"message": "slow\x1b disk", "level": "warning"}}
    (line,) = log.take(run(), note, 1.0)
    assert "noted: warning: slow\N{REPLACEMENT CHARACTER} disk" in line
    assert "stage upload" in log.take(run(stage="upload"), None, 2.0)[0]
    (last,) = log.take(run(stage="upload", status="failed", error="disk full"), None, 3.0)
    assert "failed" in last
    assert "disk full" in last
    assert log.tick(run(status="failed"), 999.0) == []
