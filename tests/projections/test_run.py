"""The fold: given events, then the state they add up to; and what holds for all events."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progress_ledger.ledger.codec import decode
from progress_ledger.ledger.events import (
    MAX_COUNT,
    TERMINAL,
    Cancelled,
    CancelRequested,
    Completed,
    Event,
    Failed,
    Heartbeat,
    Interrupted,
    Noted,
    Paused,
    Payload,
    Queued,
    Resumed,
    Rewound,
    Stage,
    StageChanged,
    Started,
    Ticked,
    TotalChanged,
)
from progress_ledger.projections.run import MAX_COUNTERS, MAX_STAGES, apply
from progress_ledger.projections.state import percent_of
from tests.projections.stories import Story, at, folded, lives, started


def percent(story: Story) -> float | None:
    return percent_of(story.state())


# ── event by event ──────────────────────────────────────────────────────────────────────────────────────


def test_queued_brings_the_spec_and_waits() -> None:
    spec = Queued(
        kind="k",
        scope="shop:1",
        title="T",
        total=9,
        unit="rows",
        labels={"a": "b"},
        slot="s",
        owner="o",
        parent="p",
        retry_of="q",
        attempt=3,
        stall_seconds=5.0,
        lease_seconds=7.0,
        stages=[Stage(name="x", weight=2.0, total=4, unit="bytes")],
    )
    state = Story().add(0, spec).state()
    assert (state.status, state.kind, state.scope, state.title) == ("queued", "k", "shop:1", "T")
    assert (state.slot, state.owner, state.parent, state.retry_of) == ("s", "o", "p", "q")
    assert (state.total, state.unit, state.labels, state.attempt) == (9, "rows", {"a": "b"}, 3)
    assert (state.stall_seconds, state.lease_seconds) == (5.0, 7.0)
    assert [(stage.name, stage.total, stage.unit) for stage in state.stages] == [("x", 4, "bytes")]
    assert (state.queued_at, state.started_at, state.last_progress_at) == (at(0), None, None)


def test_started_after_queued_keeps_the_spec_and_starts_the_clock() -> None:
    state = Story().add(0, Queued(kind="k", total=9)).add(5, TotalChanged(total=11)).add(8, Started()).state()
    assert (state.status, state.kind, state.total) == ("running", "k", 11)
    assert (state.queued_at, state.started_at, state.last_progress_at) == (at(0), at(8), at(8))


def test_started_first_has_no_time_in_the_queue() -> None:
    state = started(total=3).state()
    assert (state.status, state.queued_at, state.started_at, state.attempt) == ("running", None, at(0), 1)


def test_ticked_absolute_sets_done_counts_and_message() -> None:
    story = started(total=10).add(1, Ticked(done=3, counts={"ok": 2, "bad": 1}, message="3/10"))
    state = story.add(2, Ticked(done=4, counts={"ok": 3})).state()
    assert (state.done, state.counts, state.message) == (4, {"ok": 3, "bad": 1}, "3/10")
    assert state.last_progress_at == at(2)


def test_ticked_by_advance_adds_done_and_counts() -> None:
    story = started(total=10).add(1, Ticked(advance=3, counts={"ok": 2}))
    state = story.add(2, Ticked(advance=4, counts={"ok": 1, "bad": 5})).state()
    assert (state.done, state.counts) == (7, {"ok": 3, "bad": 5})


def test_a_lower_done_is_folded_as_the_higher_and_so_are_its_counts() -> None:
    story = started(total=10).add(1, Ticked(done=8, counts={"ok": 6, "bad": 2}))
    state = story.add(2, Ticked(done=5, counts={"ok": 4, "bad": 1}, message="late")).state()
    assert (state.done, state.counts, state.message) == (8, {"ok": 6, "bad": 2}, "late")
    assert state.last_progress_at == at(1)


def test_counts_beside_the_same_done_are_corrected() -> None:
    story = started(total=10).add(1, Ticked(done=8, counts={"ok": 6, "bad": 2}))
    state = story.add(2, Ticked(done=8, counts={"ok": 7, "bad": 1})).state()
    assert state.counts == {"ok": 7, "bad": 1}
    assert state.last_progress_at == at(2)


def test_sums_stop_at_the_largest_number() -> None:
    story = started().add(1, Ticked(done=MAX_COUNT - 1, counts={"ok": MAX_COUNT}))
    state = story.add(2, Ticked(advance=MAX_COUNT, counts={"ok": MAX_COUNT})).state()
    assert (state.done, state.counts) == (MAX_COUNT, {"ok": MAX_COUNT})


@pytest.mark.parametrize("tick", [Ticked(done=3), Ticked(advance=0), Ticked(advance=0, counts={"ok": 0})])
def test_a_tick_that_moves_nothing_is_no_progress(tick: Ticked) -> None:
    assert started(total=10).add(1, Ticked(done=3)).add(50, tick).state().last_progress_at == at(1)


def test_a_count_alone_is_progress() -> None:
    assert started().add(9, Ticked(advance=0, counts={"ok": 1})).state().last_progress_at == at(9)


def test_a_tick_may_bring_the_total_and_take_it_away() -> None:
    story = started().add(1, Ticked(done=1, total=4))
    assert story.state().total == 4
    assert story.add(2, Ticked(done=2)).state().total == 4
    assert story.add(3, Ticked(done=2, total=None)).state().total is None


def test_names_of_counts_are_bounded() -> None:
    story = started()
    for start in range(0, MAX_COUNTERS + 400, 200):
        names = {str(name): 1 for name in range(start, start + 200)}
        story.add(1, Ticked(done=start, counts=names), Ticked(advance=1, counts=names))
    assert list(story.state().counts) == [str(name) for name in range(MAX_COUNTERS)]


def test_stage_changed_restarts_done_and_leaves_the_stage_before_done() -> None:
    story = started(Stage(name="a"), Stage(name="b", unit="bytes"), total=7)
    story.add(1, StageChanged(stage="a", message="first")).add(3, Ticked(done=5, message="at it"))
    state = story.add(4, StageChanged(stage="b", total=9)).state()
    first, second = state.stages
    assert (first.status, first.done, first.total, first.active) == ("done", 5, 7, 3.0)
    assert (first.started_at, first.finished_at) == (at(1), at(4))
    assert (second.status, second.started_at, second.finished_at) == ("active", at(4), None)
    assert (state.done, state.total, state.message, state.last_progress_at) == (0, 9, None, at(4))


def test_a_stage_takes_its_own_total_then_the_declared_one_then_the_runs() -> None:
    story = started(Stage(name="a", total=3), Stage(name="b"), total=7)
    assert story.add(1, StageChanged(stage="a")).state().total == 3
    assert story.add(2, StageChanged(stage="b")).state().total == 7
    assert story.add(3, StageChanged(stage="a", total=4)).state().total == 4
    assert story.add(4, StageChanged(stage="b", total=None)).state().total is None


def test_an_undeclared_stage_is_added_and_one_entered_again_is_the_same() -> None:
    story = started(Stage(name="a"), total=2).add(1, StageChanged(stage="x")).add(2, StageChanged(stage="a"))
    state = story.add(5, StageChanged(stage="x")).add(9, StageChanged(stage="a")).state()
    assert [stage.name for stage in state.stages] == ["a", "x"]
    assert state.stages[1].active == 5.0
    assert (state.stages[1].started_at, state.stages[1].finished_at) == (at(1), at(9))


def test_stages_are_bounded_and_the_oldest_that_is_over_makes_room() -> None:
    story = started(Stage(name="declared"), total=4)
    for number in range(MAX_STAGES + 10):
        story.add(number, StageChanged(stage=f"s{number}"))
    state = story.state()
    assert len(state.stages) == MAX_STAGES
    assert state.stages[0].name == "declared"
    assert state.stage is state.stages[-1]
    assert state.stages[-1].name == f"s{MAX_STAGES + 9}"


def test_total_changed_says_another_total_or_none() -> None:
    story = started(total=4)
    assert story.add(1, TotalChanged(total=8)).state().total == 8
    assert story.add(1, TotalChanged(total=None)).state().total is None


def test_rewound_alone_takes_done_and_percent_down() -> None:
    story = started(total=10).add(1, Ticked(done=8)).add(2, Rewound(done=2))
    assert story.state().done == 2
    assert percent(story) == 20.0
    assert story.state().last_progress_at == at(2)


def test_noted_is_a_message_and_no_progress() -> None:
    state = started().add(5, Noted(message="look", level="warning")).state()
    assert (state.message, state.last_progress_at, state.updated_at) == ("look", at(0), at(5))


def test_heartbeat_says_only_that_something_lives() -> None:
    before, after = started(total=3), started(total=3).add(5, Heartbeat())
    one, other = before.state(), after.state()
    assert (other.updated_at, other.version, other.last_progress_at) == (at(5), 2, at(0))
    one.updated_at, one.version, one.position = other.updated_at, other.version, other.position
    assert one == other


def test_pauses_are_cut_out_of_the_time_of_work() -> None:
    story = started().add(10, Paused()).add(25, Resumed()).add(30, Paused())
    state = story.state()
    assert (state.status, state.paused_at, state.paused_seconds) == ("paused", at(30), 15.0)
    assert story.add(31, Completed()).state().paused_seconds == 16.0


def test_after_a_pause_silence_counts_from_its_end() -> None:
    story = started().add(10, Paused()).add(500, Resumed())
    assert (story.state().silent_since, story.state().last_progress_at) == (at(500), at(0))
    assert story.add(510, Ticked(done=1)).state().silent_since == at(510)


def test_cancel_requested_keeps_the_first_moment_and_changes_no_status() -> None:
    state = started().add(3, CancelRequested(by="me")).add(9, CancelRequested()).state()
    assert (state.status, state.cancel_requested_at) == ("running", at(3))


@pytest.mark.parametrize(
    ("end", "message", "error", "result"),
    [
        (Completed(message="done", result={"n": 1}), "done", None, {"n": 1}),
        (Completed(), "before", None, None),
        (Failed(error="E", message="oh"), "oh", "E", None),
        (Failed(error="E"), "before", "E", None),
        (Cancelled(reason="no more"), "no more", None, None),
        (Cancelled(), "before", None, None),
        (Interrupted(reason="lease"), "lease", None, None),
    ],
)
def test_an_end_says_how_and_why(end: Payload, message: str, error: str | None, result: object) -> None:
    state = started(total=4).add(1, Ticked(done=1, message="before")).add(2, end).state()
    assert (state.status, state.finished_at) == (end.type, at(2))
    assert (state.message, state.error, state.result) == (message, error, result)


def test_an_event_type_of_a_newer_release_only_moves_the_version() -> None:
    body = b'{"run_id":"r","version":2,"time":"%b","type":"moved_house","data":{"to":1}}' % at(3).encode()
    state = apply(started(total=4).state(), decode(body, 7))
    assert (state.status, state.version, state.position, state.updated_at) == ("running", 2, 7, at(3))


# ── percent ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("total", [None, 0])
def test_percent_is_unknown_without_a_total(total: int | None) -> None:
    assert percent(started(total=total).add(1, Ticked(done=5))) is None


def test_percent_stops_at_100_when_done_passes_the_total() -> None:
    assert percent(started(total=4).add(1, Ticked(done=9))) == 100.0


def test_percent_stands_while_a_growing_total_would_take_it_down() -> None:
    story = started(total=10).add(1, Ticked(done=5))
    assert percent(story.add(2, TotalChanged(total=100))) == 50.0
    assert percent(story.add(3, Ticked(done=40))) == 50.0
    assert percent(story.add(4, Ticked(done=60))) == 60.0
    assert percent(story.add(5, TotalChanged(total=None))) == 60.0
    assert percent(story.add(6, TotalChanged(total=0))) == 60.0


def test_percent_of_a_total_that_comes_late() -> None:
    story = started().add(1, Ticked(done=5))
    assert percent(story) is None
    assert percent(story.add(2, TotalChanged(total=20))) == 25.0


def weights(*stages: Stage) -> list[float]:
    return [round(weight, 6) for weight in started(*stages).state().weights]


def test_weights_are_shares_of_the_run() -> None:
    assert weights(Stage(name="a", weight=1), Stage(name="b", weight=3)) == [0.25, 0.75]
    assert weights(Stage(name="a"), Stage(name="b")) == [0.5, 0.5]
    assert weights(Stage(name="a", weight=0), Stage(name="b", weight=0)) == [0.5, 0.5]
    assert weights(Stage(name="a", weight=0), Stage(name="b", weight=2)) == [0.0, 1.0]


def test_a_stage_without_a_weight_counts_like_the_mean_of_the_others() -> None:
    assert weights(Stage(name="a", weight=1), Stage(name="b", weight=3), Stage(name="c")) == [
        0.166667,
        0.5,
        0.333333,
    ]
    assert weights(Stage(name="a", weight=0), Stage(name="b")) == [0.0, 1.0]


def test_percent_is_the_whole_runs_across_weighted_stages() -> None:
    story = started(Stage(name="a", weight=1, total=10), Stage(name="b", weight=3, total=10))
    assert percent(story) is None
    assert percent(story.add(1, StageChanged(stage="a"), Ticked(done=5))) == 12.5
    assert percent(story.add(2, StageChanged(stage="b"))) == 25.0
    assert percent(story.add(3, Ticked(done=5))) == 62.5


def test_percent_of_declared_stages_none_of_which_began_is_the_runs_own() -> None:
    assert percent(started(Stage(name="a"), total=10).add(1, Ticked(done=5))) == 50.0


def test_percent_stands_when_a_stage_is_entered_again_or_another_turns_up() -> None:
    story = started(Stage(name="a", total=10), Stage(name="b", total=10))
    story.add(1, StageChanged(stage="a"), Ticked(done=10), StageChanged(stage="b"), Ticked(done=8))
    assert percent(story) == pytest.approx(90.0)
    assert percent(story.add(2, StageChanged(stage="a"))) == pytest.approx(90.0)
    assert percent(story.add(3, StageChanged(stage="x", total=4))) == pytest.approx(90.0)


def test_percent_of_a_stage_of_unknown_size_is_what_lies_behind() -> None:
    story = started(Stage(name="a", total=1), Stage(name="b"), Stage(name="c"))
    story.add(1, StageChanged(stage="a"), Ticked(done=1), StageChanged(stage="b"))
    assert percent(story) == pytest.approx(100 / 3)


def test_completed_is_100_whatever_the_totals_said() -> None:
    assert percent(started(total=10).add(1, Ticked(done=2)).add(2, Completed())) == 100.0
    assert percent(started().add(2, Completed())) == 100.0
    assert percent(started(total=0).add(2, Completed())) == 100.0


@pytest.mark.parametrize("end", [Failed(error="E"), Cancelled(), Interrupted(reason="gone")])
def test_another_end_keeps_percent_and_stage(end: Payload) -> None:
    story = started(Stage(name="a", total=10), Stage(name="b", total=10))
    story.add(1, StageChanged(stage="a"), Ticked(done=10), StageChanged(stage="b"), Ticked(done=4)).add(
        9, end
    )
    state = story.state()
    assert percent(story) == pytest.approx(70.0)
    assert state.stage is not None
    assert (state.stage.name, state.stage.status, state.stage.done, state.stage.active) == (
        "b",
        "active",
        4,
        8.0,
    )


# ── the producer's clock ────────────────────────────────────────────────────────────────────────────────


def test_a_sane_clock_of_the_producer_is_taken_for_durations() -> None:
    story = Story().add(300, Started(kind="k", occurred_at=at(0)), Ticked(done=1, occurred_at=at(60)))
    state = story.state()
    assert (state.started_at, state.last_progress_at, state.updated_at) == (at(0), at(60), at(300))


@pytest.mark.parametrize("wrong", [301, 99])
def test_a_clock_ahead_of_the_ledger_or_behind_the_run_is_not_taken(wrong: float) -> None:
    story = Story().add(300, Started(kind="k", occurred_at=at(100)), Ticked(done=1, occurred_at=at(wrong)))
    assert story.state().last_progress_at == at(300)


def test_the_runs_last_moment_is_the_ledgers_where_the_producer_says_none() -> None:
    story = Story().add(100, Started(kind="k", occurred_at=at(0))).add(200, Heartbeat())
    assert story.add(300, Ticked(done=1, occurred_at=at(150))).state().last_progress_at == at(300)


# ── whatever the events ─────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(lives(), st.data())
def test_folding_all_is_folding_one_part_and_then_the_other(events: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(events)))
    assert folded(events[cut:], deepcopy(folded(events[:cut]))) == folded(events)


@settings(deadline=None)
@given(lives())
def test_folding_twice_changes_nothing(events: list[Event]) -> None:
    once = folded(events)
    assert folded(events, deepcopy(once)) == once
    twice = [event for event in events for _ in range(2)]
    assert folded(twice) == once


@settings(deadline=None)
@given(lives())
def test_no_order_that_the_lifecycle_allows_breaks_an_invariant(events: list[Event]) -> None:
    state = None
    before: float | None = None
    for event in events:
        state = apply(state, event)
        now = percent_of(state)
        assert now is None or (math.isfinite(now) and 0.0 <= now <= 100.0)
        if event.type == "rewound":
            before = None
        if before is not None and before > 0.0:
            assert now is not None
            assert now >= before - 1e-9
        before = now
        assert 0 <= state.done <= MAX_COUNT
        assert all(0 <= count <= MAX_COUNT for count in state.counts.values())
        assert (state.version, state.position, state.updated_at) == (
            event.version,
            event.position,
            event.time,
        )
        assert state.paused_seconds >= 0.0
        assert len(state.weights) == len(state.stages)
        assert not state.stages or sum(state.weights) == pytest.approx(1.0)
        assert sum(stage.status == "active" for stage in state.stages) <= 1
        assert (state.finished_at is not None) == (state.status in TERMINAL)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ok", "failed", "skipped"]), st.booleans()), max_size=40))
def test_done_is_the_sum_of_its_outcomes_at_every_moment(outcomes: list[tuple[str, bool]]) -> None:
    story = started(total=len(outcomes))
    counts: dict[str, int] = {}
    for done, (outcome, absolute) in enumerate(outcomes, 1):
        counts[outcome] = counts.get(outcome, 0) + 1
        story.add(
            done,
            Ticked(done=done, counts=dict(counts)) if absolute else Ticked(advance=1, counts={outcome: 1}),
        )
    state = None
    for event in story.events:
        state = apply(state, event)
        assert sum(state.counts.values()) == state.done
