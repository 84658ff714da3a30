"""The record of a run's course stays small, cheap and right."""

from __future__ import annotations

from math import isclose

from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.projections.curve import CELLS, GRID, NEVER, SAID_AT, Course, along, even_cells
from progress_ledger.projections.ground import Met


def _course(total: int | None, reached: list[tuple[int, float]]) -> Course:
    course = Course()
    course.retotal(0, total)
    for done, at in reached:
        if done >= course.next:
            course.mark(done, total, at)
    return course


def test_a_million_ticks_want_some_twenty_marks() -> None:
    course = Course()
    course.retotal(0, 1_000_000)
    marks = 0
    for done in range(1, 1_000_001):
        if done >= course.next:
            course.mark(done, 1_000_000, float(done))
            marks += 1
    assert marks == CELLS
    assert course.next == NEVER


def test_the_cells_of_an_even_run_are_as_wide_as_the_grid() -> None:
    course = _course(1000, [(done, done / 10) for done in range(1, 1001)])
    course.close(1000, 100.0)
    (stage,) = course.past
    assert stage.seconds == 100.0
    for cell, wanted in zip(stage.cells, even_cells(100.0), strict=True):
        assert abs(cell - wanted) < 0.2


def test_time_is_found_again_at_any_share_of_a_stage_that_is_over() -> None:
    course = _course(100, [(done, (done / 100) ** 2 * 60) for done in range(1, 101)])
    course.close(100, 60.0)
    for share in (0.1, 0.25, 0.5, 0.9, 1.0):
        assert abs(Met(course.past[0]).at(share) - share**2 * 60) < 1.0


def test_an_unknown_total_costs_few_points_and_is_made_good_by_the_end() -> None:
    course = _course(None, [(done, done / 1000) for done in range(1, 100_001)])
    assert len(course.done) < 3 * CELLS
    course.close(100_000, 100.0)
    assert abs(Met(course.past[0]).at(0.5) - 50.0) < 2.0


def test_a_total_that_doubles_half_way_leaves_the_points_where_they_were() -> None:
    course = _course(100, [(done, float(done)) for done in range(1, 51)])
    course.retotal(50, 200)
    for done in range(51, 201):
        if done >= course.next:
            course.mark(done, 200, float(done))
    course.close(200, 200.0)
    assert abs(Met(course.past[0]).at(0.25) - 50.0) < 2.0


def test_a_total_that_runs_away_does_not_fill_the_memory() -> None:
    course = Course()
    for done in range(1, 100_000):
        course.retotal(done - 1, done * 2)
        if done >= course.next:
            course.mark(done, done * 2, float(done))
    assert len(course.done) == len(course.at) <= 3 * CELLS


def test_work_that_is_undone_is_forgotten_and_its_time_is_not() -> None:
    course = _course(100, [(done, float(done)) for done in range(1, 81)])
    course.rewind(40)
    assert max(course.done) <= 40
    for done in range(41, 101):
        if done >= course.next:
            course.mark(done, 100, 80.0 + done - 40)
    course.close(100, 140.0)
    assert course.past[0].seconds == 140.0
    assert Met(course.past[0]).at(0.9) > 120.0


def test_a_stage_entered_again_adds_to_its_first_visit() -> None:
    course = Course()
    course.enter("a", 0, 10, 0.0)
    course.enter("b", 10, 10, 5.0)
    course.enter("a", 10, 10, 6.0)
    course.close(10, 9.0)
    assert [(stage.name, stage.seconds) for stage in course.past] == [("a", 8.0), ("b", 1.0)]


def test_a_run_without_any_count_still_has_a_duration() -> None:
    course = Course()
    course.close(0, 12.0)
    assert [stage.seconds for stage in course.past] == [12.0]


def test_stages_beyond_bounds_are_kept_by_duration_then_not_at_all() -> None:
    course = Course()
    for number in range(400):
        course.enter(f"s{number}", 0, 1, float(number))
    course.close(0, 400.0)
    assert len(course.past) == 256
    assert sum(1 for stage in course.past if stage.cells) == 16
    assert Met(course.past[100]).at(0.5) == 100.5


def test_each_share_at_which_a_prediction_is_kept_is_due_once() -> None:
    course = Course()
    assert course.due(0.05) is None
    assert course.due(0.3) == 0.25
    assert set(SAID_AT) <= set(GRID)


def test_the_longest_silence_of_each_tenth_is_kept() -> None:
    course = Course()
    course.silence(0.25, 90.0)
    course.silence(0.29, 70.0)
    course.silence(None, 61.0)
    course.silence(1.0, 65.0)
    assert course.gaps[2] == 90.0
    assert course.gaps[0] == 61.0
    assert course.gaps[9] == 65.0


@given(
    st.one_of(st.none(), st.integers(0, 2**63 - 1)),
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.floats(0, 1e9)), max_size=60),
    st.integers(0, 2**63 - 1),
    st.floats(0, 1e9),
)
def test_cells_are_never_negative_and_add_up_to_the_duration(
    total: int | None, reached: list[tuple[int, float]], done: int, end: float
) -> None:
    course = _course(total, sorted(reached))
    course.close(max([done, *course.done]), end)
    for stage in course.past:
        assert all(cell >= 0.0 for cell in stage.cells)
        assert isclose(sum(stage.cells), stage.seconds, rel_tol=1e-9, abs_tol=1e-6)


@given(st.floats(0.0, 1.0))
def test_a_curve_rises_between_its_points(share: float) -> None:
    curve = [point * 7.0 for point in GRID]
    assert isclose(along(curve, share), share * 7.0, abs_tol=1e-9)
