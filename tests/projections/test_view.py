"""What is seen of a state at a moment, and what is told of one event."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progress_ledger.ledger.events import (
    Cancelled,
    CancelRequested,
    Completed,
    Event,
    Failed,
    Heartbeat,
    Paused,
    Queued,
    Resumed,
    Rewound,
    Stage,
    StageChanged,
    Started,
    Ticked,
    TotalChanged,
)
from progress_ledger.ledger.times import parse_time
from progress_ledger.projections import apply, change, is_stalled, view
from tests.projections.stories import EPOCH, Story, at, data_of, folded, lives, started


def test_percent_is_rounded_to_a_tenth_and_says_100_only_of_all() -> None:
    assert started(total=3).add(1, Ticked(done=1)).seen().percent == 33.3
    assert started(total=10_000).add(1, Ticked(done=9_999)).seen().percent == 99.9
    assert started(total=3).add(1, Ticked(done=3)).seen().percent == 100.0


def test_over_total_says_that_more_was_done_than_expected() -> None:
    story = started(total=100).add(1, Ticked(done=120))
    seen = story.seen()
    assert (seen.percent, seen.over_total, seen.eta_seconds) == (100.0, True, 0.0)
    assert story.add(2, TotalChanged(total=120)).seen().over_total is False


def test_no_more_is_left_once_done_reaches_the_total_however_idle() -> None:
    story = started(total=0)
    assert story.seen().eta_seconds == 0.0
    assert started(total=5).add(1, Ticked(done=5)).seen(1_000).eta_seconds == 0.0


def test_a_moment_that_is_left_is_not_shown_as_nothing() -> None:
    almost = started(total=10**9).add(1, Ticked(done=10**8)).add(2, Ticked(done=10**9 - 1)).seen()
    assert almost.eta_seconds == 0.001


def test_an_ended_run_has_no_eta_but_a_completed_one_has_0() -> None:
    assert started(total=5).add(1, Ticked(done=2)).add(2, Completed()).seen(9).eta_seconds == 0.0
    for end in (Failed(error="E"), Cancelled()):
        assert started(total=5).add(1, Ticked(done=2)).add(2, end).seen(9).eta_seconds is None


def test_elapsed_and_active_seconds_grow_with_the_moment_and_stop_with_the_run() -> None:
    story = started().add(10, Paused()).add(30, Resumed())
    assert (story.seen(40).elapsed_seconds, story.seen(40).active_seconds) == (40.0, 20.0)
    story.add(50, Completed())
    assert (story.seen(999).elapsed_seconds, story.seen(999).active_seconds) == (50.0, 30.0)


def test_a_run_that_waits_has_neither_elapsed_nor_rate_nor_eta() -> None:
    seen = Story().add(0, Queued(kind="k", total=5)).seen(100)
    assert (seen.elapsed_seconds, seen.active_seconds, seen.rate, seen.eta_seconds) == (0.0, 0.0, None, None)
    assert (seen.stalled, seen.last_progress_at, seen.percent) == (False, None, 0.0)


def test_a_rate_is_of_the_current_stage() -> None:
    story = started(Stage(name="a"), Stage(name="b"), total=100)
    story.add(0, StageChanged(stage="a")).add(10, Ticked(done=100)).add(10, StageChanged(stage="b"))
    assert story.seen(20).rate is None
    assert story.add(14, Ticked(done=8)).seen(14).rate == 2.0


def test_a_stage_shows_its_own_percent_weight_and_unit() -> None:
    story = started(Stage(name="a", weight=1, unit="files"), Stage(name="b", weight=3), total=8, unit="rows")
    story.add(1, StageChanged(stage="a"), Ticked(done=2))
    assert (story.seen().unit, story.seen().stage) == ("files", "a")
    story.add(2, StageChanged(stage="b", total=4), Ticked(done=1))
    seen = story.seen()
    assert (seen.unit, seen.stage, seen.percent) == ("rows", "b", 43.8)
    first, second = seen.stages
    assert (first.status, first.percent, first.done, first.total) == ("done", 100.0, 2, 8)
    assert (second.status, second.percent, second.done, second.total) == ("active", 25.0, 1, 4)
    assert (first.weight, second.weight, first.unit, second.unit) == (0.25, 0.75, "files", "rows")


def test_stages_not_entered_are_pending_even_when_the_run_completed() -> None:
    story = started(Stage(name="a", total=2), Stage(name="b"), Stage(name="c", total=3))
    seen = story.add(1, StageChanged(stage="a")).add(2, Completed()).seen()
    assert [(stage.status, stage.percent) for stage in seen.stages] == [
        ("done", 100.0),
        ("pending", None),
        ("pending", 0.0),
    ]
    assert seen.percent == 100.0


# ── stalled ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_running_run_is_stalled_after_more_than_60_silent_seconds() -> None:
    story = started(total=5).add(10, Ticked(done=1))
    for second, stalled, silent in ((69, False, 0.0), (70, False, 0.0), (70.5, True, 60.5)):
        seen = story.seen(second)
        assert (seen.stalled, seen.stalled_seconds) == (stalled, silent)
        assert is_stalled(story.state(), EPOCH + second) is stalled
    assert story.seen(71).stalled_because == "default"


def test_a_run_may_say_after_how_many_seconds_it_is_stalled() -> None:
    story = started(total=5, stall_seconds=3.0)
    assert story.seen(3).stalled is False
    assert (story.seen(4).stalled, story.seen(4).stalled_because) == (True, "declared")


@pytest.mark.parametrize("event", [Heartbeat(), Ticked(done=0), CancelRequested(), TotalChanged(total=9)])
def test_only_progress_ends_a_silence(event: Heartbeat) -> None:
    assert started(total=5).add(100, event).seen(101).stalled is True


@pytest.mark.parametrize("event", [Ticked(advance=1), StageChanged(stage="a"), Rewound(done=0)])
def test_progress_ends_a_silence(event: Ticked) -> None:
    assert started(total=5).add(100, event).seen(101).stalled is False


def test_only_what_runs_can_stall() -> None:
    assert Story().add(0, Queued(kind="k")).seen(1_000).stalled is False
    assert started().add(1, Paused()).seen(1_000).stalled is False
    assert started().add(1, Completed()).seen(1_000).stalled is False


def test_after_a_pause_a_run_has_its_silence_before_it_again() -> None:
    story = started().add(1, Paused()).add(1_000, Resumed())
    assert story.seen(1_059).stalled is False
    assert (story.seen(1_061).stalled, story.seen(1_061).stalled_seconds) == (True, 61.0)


# ── what one event changes ──────────────────────────────────────────────────────────────────────────────


def test_the_change_of_an_event_is_seen_at_the_events_own_time() -> None:
    story = started(total=10).add(4, Ticked(done=2))
    told = change(story.state(), story.events[-1])
    assert (told.updated_at, told.elapsed_seconds, told.rate) == (at(4), 4.0, 0.5)


def test_a_start_out_of_the_queue_tells_its_time() -> None:
    story = Story().add(0, Queued(kind="k", total=5)).add(3, Started())
    told = data_of(change(story.state(), story.events[-1]))
    assert (told["status"], told["started_at"], told["last_progress_at"]) == ("running", at(3), at(3))


@settings(deadline=None)
@given(lives(), st.data())
def test_a_snapshot_patched_with_every_later_change_is_the_final_view(
    events: list[Event], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(events) - 1))
    state = folded(events[:cut]) if cut else None
    client: dict[str, object] = {}
    if state is not None:
        client = data_of(view(state, parse_time(events[cut - 1].time) + data.draw(st.floats(0, 1e4))))
    for event in events[cut:]:
        state = apply(state, event)
        client |= data_of(change(state, event))
        assert client == data_of(view(state, parse_time(event.time)))


@settings(deadline=None)
@given(lives(), st.data())
def test_a_snapshot_and_the_tail_after_it_show_the_same_as_all_events(
    events: list[Event], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(events)))
    now = parse_time(events[-1].time) + data.draw(st.floats(0, 1e6))
    snapshot = deepcopy(folded(events[:cut]))
    assert view(folded(events[cut:], snapshot), now) == view(folded(events), now)


@settings(deadline=None)
@given(lives(), st.floats(0, 1e8))
def test_no_view_at_any_moment_breaks_an_invariant(events: list[Event], later: float) -> None:
    state = None
    shown: float | None = None
    for event in events:
        state = apply(state, event)
        moment = parse_time(event.time)
        for now in (moment, moment + later):
            seen = view(state, now)
            assert seen == view(state, now)
            for value in (seen.rate, seen.eta_seconds, seen.eta_low, seen.eta_high, seen.percent):
                assert value is None or (math.isfinite(value) and value >= 0.0)
            assert seen.percent is None or seen.percent <= 100.0
            assert 0.0 <= seen.active_seconds <= seen.elapsed_seconds + 0.001
            assert not seen.stalled or (seen.status == "running" and seen.stalled_seconds > 0.0)
            assert seen.stalled or (seen.stalled_seconds, seen.stalled_because) == (0.0, None)
            assert seen.finish_at is None or seen.eta_seconds is not None
            for stage in seen.stages:
                assert stage.percent is None or 0.0 <= stage.percent <= 100.0
        percent = view(state, moment).percent
        if event.type == "rewound":
            shown = None
        assert shown is None or shown == 0.0 or (percent is not None and percent >= shown)
        shown = percent
        if event.type == "completed":
            assert (percent, view(state, moment).eta_seconds) == (100.0, 0.0)


def test_a_view_does_not_hold_on_to_the_state() -> None:
    story = started(Stage(name="a"), total=4).add(
        1, StageChanged(stage="a"), Ticked(done=1, counts={"ok": 1})
    )
    state = story.state()
    seen = view(state, EPOCH + 1)
    before = data_of(seen)
    for event in story.add(2, Ticked(done=2, counts={"ok": 2}), StageChanged(stage="b")).events:
        apply(state, event)
    assert data_of(seen) == before
