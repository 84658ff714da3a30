"""What finished runs leave behind, and what the next run makes of it."""

from __future__ import annotations

import pytest

from progress_ledger.ledger.events import Completed, Failed, Started, Ticked
from progress_ledger.projections.history import KEPT, USED, KindHistory

from .courses import Fold


def _history(fold: Fold) -> KindHistory:
    history = fold.histories.get("job")
    assert history is not None
    return history


def test_only_completed_runs_teach() -> None:
    fold = Fold()
    fold.start("a", total=10)
    fold.work("a", 10, until=5)
    fold.tell("a", Failed(error="x"))
    assert _history(fold).prior() is None
    assert _history(fold).outcomes == {"failed": 1}


def test_a_run_of_another_size_is_expected_to_take_as_much_longer() -> None:
    fold = Fold()
    fold.whole("a", 100, lambda _: 1.0)
    fold.whole("b", 400, lambda _: 1.0)
    prior = _history(fold).prior()
    assert prior is not None
    assert prior.seconds == pytest.approx(400.0)
    assert prior.stages[0].total == 400


def test_the_shape_of_a_typical_run_is_the_middle_of_the_past_ones() -> None:
    fold = Fold()
    for run_id, cost in (("a", 1.0), ("b", 1.0), ("c", 50.0)):
        fold.whole(run_id, 100, lambda n, cost=cost: cost if n <= 10 else 1.0)  # type: ignore[misc]
    prior = _history(fold).prior()
    assert prior is not None
    assert prior.seconds == pytest.approx(100.0)
    assert prior.stages[0].spent(0.5) == pytest.approx(50.0, rel=0.05)


def test_pauses_do_not_count_as_work() -> None:
    fold = Fold()
    fold.start("a", total=10)
    fold.work("a", 10, until=5)
    fold.pause("a", 3600.0)
    fold.work("a", 10)
    fold.tell("a", Completed())
    prior = _history(fold).prior()
    assert prior is not None
    assert prior.seconds == pytest.approx(10.0)


def test_a_stall_past_what_the_run_declared_does_not_count_as_work() -> None:
    fold = Fold()
    fold.start("a", total=10, stall_seconds=120.0)
    fold.work("a", 10, lambda n: 600.0 if n == 5 else 1.0)
    fold.tell("a", Completed())
    prior = _history(fold).prior()
    assert prior is not None
    assert prior.seconds == pytest.approx(9.0)


def test_history_is_bounded_however_many_runs_there_were() -> None:
    fold = Fold()
    for number in range(KEPT + 15):
        fold.whole(f"r{number}", 10)
    history = _history(fold)
    assert len(history.last) == KEPT
    assert history.outcomes["completed"] == KEPT + 15
    prior = history.prior()
    assert prior is not None
    assert prior.runs == USED


def test_a_run_sees_only_what_had_ended_before_its_first_position() -> None:
    fold = Fold()
    fold.whole("a", 10)
    late = fold.start("late", total=10)
    fold.whole("b", 10, lambda _: 9.0)
    assert late.prior is not None
    assert late.prior.runs == 1
    history = _history(fold)
    assert history.prior(late.first) == late.prior
    assert history.prior() != late.prior


def test_an_end_folded_twice_counts_once() -> None:
    fold = Fold()
    state = fold.whole("a", 10)
    before = _history(fold).outcomes.copy()
    fold.histories.ended(state)
    assert _history(fold).outcomes == before
    assert len(_history(fold).last) == 1


def test_stage_weights_come_from_past_durations() -> None:
    fold = Fold()
    fold.staged("a", [("load", 10, 1.0), ("work", 10, 9.0)])
    state = fold.staged("b", [("load", 10, 1.0), ("work", 10, 9.0)])
    assert state.weights == pytest.approx([0.1, 0.9])
    assert state.prior is not None
    assert state.prior.weights(["load", "work", "new"]) == pytest.approx([10 / 150, 90 / 150, 50 / 150])
    assert state.prior.weights(["other"]) is None


def test_what_was_predicted_is_kept_and_judged() -> None:
    fold = Fold()
    fold.whole("a", 100)
    fold.whole("b", 100)
    history = _history(fold)
    assert [said.share for said in history.last[-1].said] == [0.1, 0.25, 0.5, 0.75]
    accuracy = history.accuracy()
    assert accuracy.predictions == 8
    assert accuracy.within == 1.0
    assert accuracy.error == pytest.approx(0.0, abs=0.02)


def test_errors_of_the_plain_mean_do_not_make_a_band() -> None:
    fold = Fold()
    fold.whole("a", 100)
    prior = _history(fold).prior()
    assert prior is not None
    assert prior.errors == []
    fold.whole("b", 100)
    prior = _history(fold).prior()
    assert prior is not None
    assert len(prior.errors) == 4


def test_a_run_that_took_no_time_teaches_nothing() -> None:
    fold = Fold()
    fold.tell("a", Started(kind="job", total=3))
    fold.tell("a", Ticked(done=3))
    fold.tell("a", Completed())
    assert _history(fold).prior() is None
    assert _history(fold).accuracy().within is None
