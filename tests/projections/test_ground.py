"""What estimates stand on: the run's place among its stages, never a stale one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progress_ledger.ledger.events import Event
from progress_ledger.projections import apply, view
from progress_ledger.projections.curve import Course, StageCourse
from progress_ledger.projections.ground import Ground, Met, Plan, reached
from progress_ledger.projections.histories import Histories
from progress_ledger.projections.state import RunState

from .courses import Fold
from .stories import EPOCH, folded, lives


def test_a_stage_has_the_share_of_its_weight_behind_those_before_it() -> None:
    plan = [Plan("a", 1.0), Plan("b", 3.0), Plan("c", 4.0)]
    ground = Ground(Course(stage="b"), None, plan=plan, total=9)
    assert (ground.before, ground.weight, ground.total) == (0.125, 0.375, 9)
    assert [other[:2] for other in ground.others] == [(0.0, 0.125)]
    assert not ground.last


def test_stages_without_any_weight_are_equals() -> None:
    ground = Ground(Course(stage="b"), None, plan=[Plan("a", 0.0), Plan("b", 0.0)], total=9)
    assert (ground.before, ground.weight, ground.last) == (0.5, 0.5, True)


def test_a_stage_that_is_not_in_the_plan_has_no_place() -> None:
    assert Ground(Course(stage="x"), None, plan=[Plan("a", 1.0)], total=9).before is None


def test_a_stage_that_is_over_knows_when_it_had_reached_a_share() -> None:
    even = Met(StageCourse("a", 10, 40.0, 5.0, []))
    assert [even.at(share) for share in (0.0, 0.5, 1.0)] == pytest.approx([5.0, 25.0, 45.0])


def test_a_typical_run_has_the_size_of_this_one() -> None:
    fold = Fold()
    fold.staged("a", [("load", 10, 1.0), ("work", 10, 9.0)])
    prior = fold.start("b").prior
    assert prior is not None
    plan = [Plan("load", 0.1, 30), Plan("work", 0.9, 30)]
    typical = Ground(Course(stage="work"), prior, plan=plan, total=30).typical
    assert typical is not None
    assert (typical.behind, typical.here, typical.ahead) == pytest.approx((30.0, 270.0, 0.0), rel=0.01)


def test_a_curve_says_what_share_was_reached_when() -> None:
    fold = Fold()
    fold.whole("a", 100)
    prior = fold.start("b").prior
    assert prior is not None
    curve = prior.stages[0].curve
    assert [reached(curve, seconds) for seconds in (0.0, 50.0, 100.0, 1e9)] == pytest.approx(
        [0.0, 0.5, 1.0, 1.0], abs=0.02
    )


@settings(deadline=None)
@given(lives(), lives(), st.floats(0, 1e4))
def test_who_asks_on_the_way_is_told_the_same_as_who_asks_first_now(
    before: list[Event], events: list[Event], later: float
) -> None:
    histories = Histories()
    earlier = folded(before)
    if earlier.finished_at is not None:
        histories.ended(earlier)
    asked: RunState | None = None
    for count, event in enumerate(events, 1):
        event.position += len(before)
        prior = histories.prior(events[0])
        asked = apply(asked, event, prior)
        silent: RunState | None = None
        for one in events[:count]:
            silent = apply(silent, one, prior)
        assert silent is not None
        assert view(asked, EPOCH + later) == view(silent, EPOCH + later)
