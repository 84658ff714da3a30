"""The estimators are told what the state says."""

from __future__ import annotations

import pytest

from progress_ledger.ledger.events import Stage
from progress_ledger.projections.outlook import allowed_silence, remaining, weigh

from .courses import Fold


def test_weights_are_equal_where_nobody_said_anything() -> None:
    fold = Fold()
    state = fold.start("a", stages=[Stage(name="x"), Stage(name="y")])
    assert weigh(state) == [0.5, 0.5]


def test_a_stage_without_a_weight_counts_like_the_mean_of_the_others() -> None:
    fold = Fold()
    state = fold.start("a", stages=[Stage(name="x", weight=1), Stage(name="y", weight=3), Stage(name="z")])
    assert weigh(state) == pytest.approx([1 / 6, 3 / 6, 2 / 6])


def test_weights_that_are_all_zero_are_equal() -> None:
    fold = Fold()
    state = fold.start("a", stages=[Stage(name="x", weight=0), Stage(name="y", weight=0)])
    assert weigh(state) == [0.5, 0.5]


def test_history_goes_before_what_was_declared() -> None:
    fold = Fold()
    fold.staged("a", [("x", 10, 1.0), ("y", 10, 3.0)])
    state = fold.start("b", stages=[Stage(name="x", weight=9), Stage(name="y", weight=1)])
    assert weigh(state) == pytest.approx([0.25, 0.75])


def test_a_run_without_stages_has_no_weights() -> None:
    assert weigh(Fold().start("a")) == []


def test_predictions_are_kept_with_what_they_rest_on() -> None:
    fold = Fold()
    first = fold.whole("a", 100)
    second = fold.whole("b", 100)
    assert {said.runs for said in first.course.said} == {0}
    assert {said.runs for said in second.course.said} == {1}
    assert second.course.said[0].seconds == pytest.approx(90.0, rel=0.05)


def test_a_cut_silence_is_no_work() -> None:
    fold = Fold()
    fold.start("a", total=100, stall_seconds=100.0)
    state = fold.work("a", 100, lambda n: 5000.0 if n == 20 else 1.0, until=50)
    assert state.course.cut == 5000.0
    assert remaining(state, 49.0 + 5000.0).seconds == pytest.approx(49.0, rel=0.1)


def test_the_usual_gap_of_a_run_sets_how_long_it_may_be_silent() -> None:
    fold = Fold()
    fold.start("a", total=100)
    state = fold.work("a", 100, lambda _: 30.0, until=10)
    assert allowed_silence(state, 0.1) == (300.0, "usual_gap")
