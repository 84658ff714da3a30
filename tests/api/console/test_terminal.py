"""What is drawn is readable, and nothing that a producer wrote is obeyed."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from progress_ledger.api.console import terminal

RUN: dict[str, Any] = {
    "run_id": "01a20129-c70a-756b-99e8-16b0aba69111",
    "kind": "hash",
    "scope": None,
    "title": "Files",
    "status": "running",
    "labels": {"a": "b"},
    "slot": None,
    "owner": None,
    "parent": None,
    "retry_of": None,
    "unit": "bytes",
    "stage": "hash",
    "stages": [
        {"name": "scan", "status": "done", "percent": 100.0},
        {"name": "hash", "status": "active", "percent": 40.0},
        {"name": "rest", "status": "pending", "percent": None},
    ],
    "done": 1_500_000,
    "total": 3_000_000,
    "percent": 42.5,
    "counts": {"files": 3},
    "message": "going",
    "error": None,
    "result": None,
    "rate": 1024.0,
    "eta_seconds": 75.0,
    "elapsed_seconds": 3_661.0,
    "queued_at": None,
    "started_at": "2026-11-21T23:34:40.123456Z",
    "updated_at": "2026-11-21T23:34:41.123456Z",
    "finished_at": None,
    "stalled": False,
    "stalled_seconds": 0.0,
    "cancel_requested": False,
    "version": 7,
    "position": 9,
}


def _drawn(what: Any, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_a_list_shows_whole_ids_and_fits(width: int) -> None:
    text = _drawn(
        terminal.runs_table([RUN, RUN | {"percent": None, "total": None, "kind": "x" * 90}], width=width),
        width,
    )
    assert text.count(RUN["run_id"]) == 2
    assert "42.5 %" in text
    assert ("1.4 MiB/2.9 MiB" in text) is (width >= 100)
    assert "?" in text
    assert all(len(line) <= width for line in text.splitlines())
    assert len(text.splitlines()) == 3


def test_one_run_is_shown_with_all_that_is_known() -> None:
    text = _drawn(terminal.run_table(RUN | {"cancel_requested": True, "result": {"n": 1}, "error": "bad"}))
    for part in (
        "running, cancel requested",
        "files 3",
        "a b",
        "1:15",
        "1:01:01",
        '{"n":1}',
        "bad",
        "· scan",
        "7 (position 9)",
    ):
        assert part in text


def test_a_stalled_run_is_called_stalled() -> None:
    run = RUN | {"stalled": True, "stalled_seconds": 70.0}
    assert terminal.status_text(run).plain == "stalled"
    assert "stalled, no progress for 1:10" in _drawn(terminal.run_table(run))


def test_a_live_view_says_what_is_left_and_then_what_it_took() -> None:
    text = _drawn(terminal.run_lines(RUN))
    assert "1:15 left" in text
    assert "✓ scan" in text
    assert "▸ hash" in text
    text = _drawn(terminal.run_lines(RUN | {"status": "failed", "error": "no disk"}))
    assert "took 1:01:01" in text
    assert "no disk" in text


HOSTILE = "\x1b[2Jgone\x07 [red]markup[/red] \x9b31m\u202egnp.exe\nnext\tline"


def test_what_a_producer_wrote_is_never_obeyed() -> None:
    run = RUN | {
        "title": HOSTILE,
        "kind": HOSTILE,
        "message": HOSTILE,
        "counts": {HOSTILE: 1},
        "unit": HOSTILE,
    }
    event = {
        "version": 1,
        "time": RUN["updated_at"],
        "type": "noted",
        "data": {"message": HOSTILE, "x": [HOSTILE]},
    }
    shown = [_drawn(view(run)) for view in (terminal.run_table, terminal.run_lines)]
    shown.append(_drawn(terminal.runs_table([run])))
    shown += [_drawn(cell) for cell in terminal.event_row(event)]
    for text in shown:
        assert not set(text) & set("\x1b\x07\x9b\u202e\t")
    assert "[red]markup[/red]" in shown[0]
    assert terminal.plain("\ud800") == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (59.6, "1:00"),
        (75, "1:15"),
        (3_661, "1:01:01"),
        (200_000, "2 d 07:33"),
    ],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert terminal.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "items", "?"),
        (0, None, "0"),
        (1234567, "rows", "1,234,567"),
        (3.4, "items", "3.4"),
        (1023, "bytes", "1023 B"),
        (1024, "bytes", "1.0 KiB"),
        (2**63 - 1, "bytes", "8.0 EiB"),
    ],
)
def test_amounts_read_well(value: float | None, unit: str | None, text: str) -> None:
    assert terminal.amount(value, unit) == text


def test_a_rate_carries_its_unit() -> None:
    assert terminal.rate(RUN) == "1.0 KiB/s"
    assert terminal.rate(RUN | {"unit": "rows", "rate": 3.25}) == "3.2 rows/s"
    assert terminal.rate(RUN | {"rate": None}) == "–"


def test_a_sparkline_is_as_high_as_its_largest_and_nothing_without_one() -> None:
    assert terminal.sparkline([0.0, 3.5, 7.0]) == "▁▄█"
    assert terminal.sparkline([]) == terminal.sparkline([0.0, 0.0]) == ""
