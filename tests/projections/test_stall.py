"""How long a run may be silent, and which reason it is that counts."""

from __future__ import annotations

from progress_ledger.ledger.events import Completed, Heartbeat, Ticked
from progress_ledger.projections.stall import STALL_SECONDS, USUAL_GAPS, is_cut, limit
from progress_ledger.projections.view import view

from .courses import Fold

GAPS = [0.0, 0.0, 0.0, 900.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_a_minute_is_allowed_where_nothing_is_known() -> None:
    assert limit(None, None, (), None) == (STALL_SECONDS, "default")


def test_what_the_run_declared_wins_over_everything() -> None:
    assert limit(5.0, 1000.0, GAPS, 0.35) == (5.0, "declared")


def test_several_usual_gaps_are_allowed() -> None:
    assert limit(None, 30.0, (), None) == (30.0 * USUAL_GAPS, "usual_gap")


def test_the_longest_silence_of_past_runs_is_allowed_where_they_had_it() -> None:
    assert limit(None, 1.0, GAPS, 0.35) == (900.0, "history")
    assert limit(None, 1.0, GAPS, 0.45) == (900.0, "history")
    assert limit(None, 1.0, GAPS, 0.85) == (STALL_SECONDS, "default")
    assert limit(None, 1.0, GAPS, None) == (900.0, "history")


def test_only_what_nobody_can_take_for_work_is_cut_out() -> None:
    assert is_cut(130.0, 120.0, (), None)
    assert not is_cut(110.0, 120.0, GAPS, 10.0)
    assert not is_cut(1e6, None, (), None)
    assert is_cut(5000.0, None, GAPS, 100.0)
    assert not is_cut(4000.0, None, GAPS, 100.0)
    assert not is_cut(5000.0, None, GAPS, 3000.0)


def test_a_heartbeat_does_not_end_a_silence_and_progress_does() -> None:
    fold = Fold()
    state = fold.start("a", total=10)
    fold.now += 50
    fold.tell("a", Heartbeat())
    fold.now += 30
    assert view(state, fold.now).stalled
    assert view(state, fold.now).stalled_because == "default"
    fold.tell("a", Ticked(done=1))
    assert not view(state, fold.now).stalled


def test_a_slow_but_regular_run_is_not_stalled() -> None:
    fold = Fold()
    fold.start("a", total=100)
    state = fold.work("a", 100, lambda _: 40.0, until=10)
    assert not view(state, fold.now + 300).stalled
    seen = view(state, fold.now + 500)
    assert seen.stalled
    assert seen.stalled_because == "usual_gap"


def test_a_silence_that_past_runs_had_at_this_point_is_no_stall() -> None:
    def one_long(n: int) -> float:
        return 800.0 if n == 51 else 1.0

    fold = Fold()
    fold.start("a", total=100)
    fold.work("a", 100, one_long)
    fold.tell("a", Completed())
    fold.start("b", total=100)
    state = fold.work("b", 100, until=50)
    assert not view(state, fold.now + 700).stalled
    seen = view(state, fold.now + 900)
    assert seen.stalled
    assert seen.stalled_because == "history"


def test_the_number_stands_still_while_a_run_is_stalled() -> None:
    fold = Fold()
    fold.start("a", total=100)
    state = fold.work("a", 100, until=50)
    before = view(state, fold.now).eta_seconds
    assert view(state, fold.now + 10_000).eta_seconds == before
