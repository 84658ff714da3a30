"""What is read off a state at once."""

from __future__ import annotations

import msgspec
import pytest

from progress_ledger.ledger.events import Completed, Paused, Resumed, Stage, StageChanged, Ticked
from progress_ledger.projections.state import RunState, active_seconds, percent_of, share_of
from tests.projections.stories import Story, at, started


def test_a_run_that_has_not_started_has_worked_for_no_time() -> None:
    assert active_seconds(RunState(run_id="r"), at(9)) == 0.0


def test_time_of_work_leaves_out_pauses_open_or_over_and_ends_with_the_run() -> None:
    story = started().add(10, Paused())
    assert active_seconds(story.state(), at(14)) == 10.0
    story.add(20, Resumed())
    assert active_seconds(story.state(), at(25)) == 15.0
    story.add(30, Completed())
    assert active_seconds(story.state(), at(99)) == 20.0


def test_time_of_work_is_never_negative() -> None:
    assert active_seconds(started().state(), at(-5)) == 0.0


def test_a_share_is_what_the_events_say_and_percent_what_was_ever_shown() -> None:
    state = started(total=10).add(1, Ticked(done=5)).add(2, Ticked(done=5, total=20)).state()
    assert (share_of(state), percent_of(state)) == (0.25, 50.0)


def test_a_share_is_unknown_without_a_total_and_a_stage_behind() -> None:
    assert share_of(started().add(1, Ticked(done=5)).state()) is None
    assert share_of(started(Stage(name="a")).add(1, StageChanged(stage="a")).state()) is None


def test_silence_counts_from_the_last_progress_or_the_end_of_a_pause() -> None:
    assert RunState(run_id="r").silent_since is None
    assert started().add(4, Ticked(done=1)).state().silent_since == at(4)
    assert started().add(4, Paused()).add(9, Resumed()).state().silent_since == at(9)


def test_the_current_stage_is_none_before_the_first() -> None:
    assert started(Stage(name="a")).state().stage is None
    stage = started(Stage(name="a")).add(1, StageChanged(stage="a")).state().stage
    assert stage is not None
    assert stage.name == "a"


@pytest.mark.parametrize("form", [msgspec.msgpack, msgspec.json])
def test_a_state_comes_back_the_same_from_its_kept_form(form: object) -> None:
    story = Story().add(0, started(Stage(name="a", total=3)).events[0].data)
    story.add(1.5, StageChanged(stage="a"), Ticked(done=2, counts={"ok": 2}), Paused())
    state = story.state()
    assert form.decode(form.encode(state), type=RunState) == state  # type: ignore[attr-defined]
