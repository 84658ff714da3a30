"""Conflation: what is held back, and until when."""

from __future__ import annotations

import pytest

from progress_ledger.api.streams.conflate import Conflation, parse_every


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("100ms", 0.1), ("2s", 2.0), ("1.5s", 1.5), ("60s", 60.0), ("1", 1.0), (" 2S ", 2.0)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_every(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "ms",
        "abc",
        "-1s",
        "99ms",
        "61s",
        "0",
        "250",
        "nan",
        "inf",
        "1e1s",
        "1_0s",
        "1m",
        "\uff11s",
        "9" * 40,
    ],
)
def test_what_is_no_duration_or_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_every(text)


def test_runs_with_news_are_shown_together_when_the_interval_is_over() -> None:
    held = Conflation(1.0, 10.0)
    for run_id in ("a", "b", "a"):
        held.news(run_id)
    assert held.due == 11.0
    assert held.take(10.9) == ()
    assert held.take(11.0) == ("a", "b")
    assert not held.withheld
    assert held.take(12.0) == ()


def test_after_an_interval_of_silence_news_are_due_at_once() -> None:
    held = Conflation(1.0, 10.0)
    held.news("a")
    assert held.take(50.0) == ("a",)
    held.news("a")
    assert held.take(50.5) == ()
    assert held.due == 51.0


def test_a_run_shown_by_a_frame_that_could_not_wait_is_not_held_back() -> None:
    held = Conflation(1.0, 10.0)
    held.news("a")
    held.news("b")
    held.shown("a")
    held.shown("c")
    assert held.withheld == ("b",)
    assert held.take(11.0) == ("b",)
