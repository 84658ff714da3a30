"""The remaining time: right where it can be, and always a number that makes sense."""

from __future__ import annotations

from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progress_ledger.ledger.events import (
    MAX_COUNT,
    Completed,
    Failed,
    Heartbeat,
    Paused,
    Payload,
    Resumed,
    Rewound,
    Stage,
    StageChanged,
    Started,
    Ticked,
    TotalChanged,
)
from progress_ledger.projections.estimate import estimate, longest
from progress_ledger.projections.ground import Ground, Plan
from progress_ledger.projections.outlook import remaining
from progress_ledger.projections.state import RunState, active_seconds
from progress_ledger.projections.view import view

from .courses import Fold


def _left(fold: Fold, state: RunState) -> float:
    found = view(state, fold.now).eta_seconds
    assert found is not None
    return found


def test_without_history_an_even_run_gets_the_plain_mean() -> None:
    fold = Fold()
    fold.start("a", total=100)
    state = fold.work("a", 100, until=40)
    seen = view(state, fold.now)
    assert seen.eta_seconds == pytest.approx(60.0, rel=0.02)
    assert seen.eta_basis == "mean"
    assert seen.eta_low is None
    assert seen.eta_high is None


def test_there_is_no_number_before_any_work_without_history() -> None:
    fold = Fold()
    state = fold.start("a", total=100)
    fold.now += 5
    assert view(state, fold.now).eta_seconds is None
    assert view(state, fold.now).eta_basis is None


def test_there_is_no_number_without_a_total_or_history() -> None:
    fold = Fold()
    fold.start("a")
    state = fold.work("a", 50)
    assert view(state, fold.now).eta_seconds is None


def test_with_history_there_is_a_number_from_the_first_moment() -> None:
    fold = Fold()
    fold.whole("a", 100)
    state = fold.start("b", total=200)
    seen = view(state, fold.now)
    assert seen.eta_seconds == pytest.approx(200.0)
    assert seen.eta_basis == "history:1"


def test_history_knows_that_the_second_half_is_slow() -> None:
    def slow_end(n: int) -> float:
        return 1.0 if n <= 50 else 9.0

    fold = Fold()
    for run_id in ("a", "b", "c"):
        fold.whole(run_id, 100, slow_end)
    fold.start("d", total=100)
    state = fold.work("d", 100, slow_end, until=50)
    assert _left(fold, state) == pytest.approx(450.0, rel=0.1)


def test_a_run_at_half_the_usual_pace_is_believed_as_it_goes_on() -> None:
    fold = Fold()
    for run_id in ("a", "b", "c"):
        fold.whole(run_id, 100)
    fold.start("d", total=100)
    state = fold.work("d", 100, lambda _: 2.0, until=50)
    assert _left(fold, state) == pytest.approx(100.0, rel=0.15)


def test_the_number_is_zero_when_all_is_done() -> None:
    fold = Fold()
    fold.start("a", total=10)
    state = fold.work("a", 12)
    assert view(state, fold.now).eta_seconds == 0
    state = fold.tell("a", Completed())
    assert view(state, fold.now).eta_seconds == 0


def test_a_stage_that_is_done_does_not_end_the_run() -> None:
    fold = Fold()
    fold.staged("a", [("load", 10, 1.0), ("work", 10, 9.0)])
    fold.start("b", stages=[Stage(name="load"), Stage(name="work")])
    fold.tell("b", StageChanged(stage="load", total=10))
    state = fold.work("b", 10)
    assert _left(fold, state) == pytest.approx(90.0, rel=0.05)


def test_declared_weights_are_the_basis_where_nothing_better_is_known() -> None:
    fold = Fold()
    fold.start("a", stages=[Stage(name="x", weight=3), Stage(name="y", weight=1)])
    fold.tell("a", StageChanged(stage="x", total=30))
    state = fold.work("a", 30, until=20)
    seen = view(state, fold.now)
    assert seen.eta_basis == "declared"
    assert seen.eta_seconds == pytest.approx(20.0, rel=0.02)


def test_the_band_appears_with_the_kinds_own_errors_and_holds_the_number() -> None:
    fold = Fold()
    for number, cost in enumerate((1.0, 1.4, 0.8, 1.1)):
        fold.whole(f"r{number}", 100, lambda _, cost=cost: cost)  # type: ignore[misc]
    fold.start("next", total=100)
    seen = view(fold.work("next", 100, until=30), fold.now)
    assert seen.eta_low is not None
    assert seen.eta_seconds is not None
    assert seen.eta_high is not None
    assert 0 < seen.eta_low < seen.eta_seconds < seen.eta_high


def test_an_unknown_total_is_taken_from_history() -> None:
    fold = Fold()
    fold.whole("a", 100)
    fold.start("b")
    state = fold.work("b", 100, until=40)
    assert _left(fold, state) == pytest.approx(60.0, rel=0.05)


def test_a_pause_does_not_move_the_number() -> None:
    fold = Fold()
    fold.start("a", total=100)
    state = fold.work("a", 100, until=50)
    before = _left(fold, state)
    fold.pause("a", 10_000.0)
    assert _left(fold, state) == pytest.approx(before)


def test_a_job_sixty_times_slower_gets_sixty_times_the_number() -> None:
    answers: list[float] = []
    for slow in (1.0, 60.0):
        fold = Fold()
        for run_id in ("a", "b"):
            fold.whole(run_id, 60, lambda n, slow=slow: (0.1 + n % 7) * slow)  # type: ignore[misc]
        fold.start("c", total=60)
        state = fold.work("c", 60, lambda n, slow=slow: (0.1 + n % 5) * slow, until=25)  # type: ignore[misc]
        answers.append(_left(fold, state) / slow)
    assert answers[0] == pytest.approx(answers[1], rel=1e-3)


def test_children_take_as_long_as_the_longest() -> None:
    assert longest(None, [3.0, 9.0, 4.0]) == 9.0
    assert longest(20.0, [3.0]) == 20.0
    assert longest(None, [3.0, None]) is None
    assert longest(5.0, [3.0, None]) == 5.0
    assert longest(None, []) is None


def test_a_moment_that_is_no_number_is_taken_for_none_gone_by() -> None:
    fold = Fold()
    course = fold.start("a", total=10).course
    ground = Ground(course, None, plan=[Plan("", 1.0)], total=10)
    for active in (float("nan"), float("inf"), -5.0):
        assert estimate(ground, course, 3, active).seconds is None


def test_the_number_is_the_same_whether_or_not_it_is_explained() -> None:
    fold = Fold()
    fold.whole("a", 100)
    fold.start("b", total=100)
    state = fold.work("b", 100, until=50)
    asked, told = (remaining(state, 70.0, explain=explain) for explain in (True, False))
    assert (asked.seconds, asked.low, asked.high) == (told.seconds, told.low, told.high)
    assert told.why == {}


def test_why_names_the_numbers_behind_it() -> None:
    fold = Fold()
    fold.whole("a", 100)
    fold.start("b", total=100)
    state = fold.work("b", 100, until=50)
    why = remaining(state, active_seconds(state, state.updated_at), explain=True).why
    assert why["typical_seconds"] == pytest.approx(100.0)
    assert why["share_of_time"] == pytest.approx(0.5, rel=0.02)
    assert why["pace"] == pytest.approx(1.0, rel=0.02)
    assert 0.0 < why["trust_in_this_run"] < 1.0


COUNTS = st.one_of(st.integers(0, 20), st.just(10**9), st.just(MAX_COUNT))
PAYLOADS: st.SearchStrategy[Payload] = st.one_of(
    st.builds(Ticked, done=COUNTS),
    st.builds(Ticked, advance=COUNTS),
    st.builds(Ticked, done=COUNTS, total=st.one_of(st.none(), COUNTS)),
    st.builds(TotalChanged, total=st.one_of(st.none(), COUNTS)),
    st.builds(Rewound, done=COUNTS),
    st.builds(StageChanged, stage=st.sampled_from("abc"), total=st.one_of(st.none(), COUNTS)),
    st.builds(Heartbeat),
)
STEPS = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(1e-6, 5.0), st.floats(60.0, 1e7)), PAYLOADS, st.booleans()),
    max_size=25,
)
STAGES = st.builds(Stage, name=st.sampled_from("abc"), weight=st.one_of(st.none(), st.floats(0, 1e9)))
SPECS = st.builds(
    Started,
    kind=st.just("job"),
    total=st.one_of(st.none(), COUNTS),
    stages=st.lists(STAGES, max_size=3, unique_by=lambda stage: stage.name),
    stall_seconds=st.one_of(st.none(), st.floats(1.0, 1e6)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(SPECS, STEPS, st.booleans()), min_size=1, max_size=5), st.floats(0, 1e8))
def test_no_run_whatever_happens_in_it_gets_a_number_that_makes_no_sense(
    runs: list[tuple[Started, list[tuple[float, Payload, bool]], bool]], later: float
) -> None:
    fold = Fold()
    for number, (spec, steps, completes) in enumerate(runs):
        run_id = f"r{number}"
        state = fold.tell(run_id, spec)
        for seconds, payload, pause in steps:
            fold.now += seconds
            state = fold.tell(run_id, payload)
            if pause:
                fold.tell(run_id, Paused())
                _sensible(state, fold.now)
                fold.now += seconds
                fold.tell(run_id, Resumed())
            _sensible(state, fold.now)
        _sensible(state, fold.now + later)
        fold.tell(run_id, Completed() if completes else Failed(error="x"))
        _sensible(state, fold.now + later)
    history = fold.histories.get("job")
    assert history is not None
    prior = history.prior()
    if prior is not None:
        numbers = [
            prior.seconds,
            *prior.errors,
            *prior.gaps,
            *(at for stage in prior.stages for at in stage.curve),
        ]
        assert all(isfinite(number) and number >= 0.0 for number in numbers)


def _sensible(state: RunState, now: float) -> None:
    seen = view(state, now)
    for number in (
        seen.eta_seconds,
        seen.eta_low,
        seen.eta_high,
        seen.percent,
        seen.rate,
        seen.stalled_seconds,
    ):
        assert number is None or (isfinite(number) and number >= 0.0)
    if seen.eta_low is not None:
        assert seen.eta_seconds is not None
        assert seen.eta_high is not None
        assert seen.eta_low <= seen.eta_seconds <= seen.eta_high
    assert seen.percent is None or seen.percent <= 100.0
    if (
        not state.stages
        and state.status == "running"
        and state.total is not None
        and state.done >= state.total
    ):
        assert seen.eta_seconds == 0
