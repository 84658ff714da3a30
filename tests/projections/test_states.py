"""The states in memory: who is active, who ended, what cannot be folded on."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progress_ledger.ledger import codec
from progress_ledger.ledger.events import Completed, Event, Ticked
from progress_ledger.ledger.log import Recorded
from progress_ledger.projections import RunState
from progress_ledger.projections.states import ENDED_KEPT, States
from progress_ledger.projections.store import MARK_EVERY
from tests.projections.stories import Story, lives, started

Page = list[tuple[int, bytes | None]]


def body_of(event: Event) -> bytes:
    return codec.stored_form(
        run_id=event.run_id,
        version=event.version,
        time=event.time,
        type_name=event.type,
        data=codec.encode_data(event.data),
        event_id=None,
    ).encode()


def page_of(events: list[Event]) -> Page:
    return [(event.position, body_of(event)) for event in events]


def merged(*runs: list[Event]) -> list[Event]:
    """Several runs' events one by one in turn, with positions of one log."""
    waiting = [list(run) for run in runs]
    events: list[Event] = []
    while any(waiting):
        for run in waiting:
            if run:
                event = run.pop(0)
                event.position = len(events) + 1
                events.append(event)
    return events


def test_a_run_is_active_until_its_end_is_folded() -> None:
    states = States()
    story = started().add(1, Ticked(done=1)).add(2, Completed())
    for event in story.events:
        states.fold(event)
        assert ("r" in states.active) is (event.type != "completed")
    state = states.get("r")
    assert state is not None
    assert state.status == "completed"
    assert (states.position, states.unkept, len(states)) == (3, 1, 1)


def test_an_event_whose_run_is_not_here_or_lies_behind_is_not_folded() -> None:
    states = States()
    first, second, third = started().add(1, Ticked(done=1), Ticked(done=2)).events
    assert states.fold(second) is None
    assert states.position == 0
    states.fold(first)
    assert states.fold(third) is None
    assert (states.position, states.active["r"].version) == (1, 1)


def test_a_state_that_is_ahead_waits_until_the_fold_is_there() -> None:
    story = started().add(1, Ticked(done=1), Ticked(done=2))
    states = States(1)
    states.bring(story.state())
    for event in story.events[1:]:
        state = states.fold(event)
        assert state == story.state()
    assert states.position == 3


def test_a_page_stops_at_a_run_that_must_be_brought_and_goes_on_after_it() -> None:
    here, there = started().add(1, Ticked(done=1)), Story(run_id="s").add(0, started().events[0].data)
    there.add(1, Ticked(done=5), Ticked(done=6))
    events = merged(here.events, there.events)
    page = page_of(events)
    brought = Story(run_id="s").add(0, started().events[0].data).state()
    states = States()
    without_first = [
        row for row, event in zip(page, events, strict=True) if (event.run_id, event.version) != ("s", 1)
    ]
    assert states.fold_page(without_first) == 2
    assert states.position == 3
    states.bring(brought)
    assert states.fold_page(without_first, 2) == 4
    assert (states.active["s"].done, states.position) == (6, 5)


def test_a_run_that_cannot_be_brought_is_passed_over() -> None:
    page = page_of(started().add(1, Ticked(done=1), Ticked(done=2)).events)[1:]
    states = States()
    assert states.fold_page(page, without={"r"}) == 2
    assert (states.position, len(states)) == (3, 0)


def test_pruned_events_and_what_was_folded_before_move_nothing_but_the_position() -> None:
    page: Page = [(position, None) for position in (1, 2)] + page_of(
        Story(position=2).add(0, started().events[0].data).events
    )
    states = States()
    assert states.fold_page(page) == 3
    assert states.fold_page(page) == 3
    assert (states.position, states.active["r"].version) == (3, 1)


def test_everybody_is_told_of_each_event_right_after_it() -> None:
    told: list[tuple[int, int, int]] = []
    states = States()

    def tell(recorded: Recorded, state: RunState) -> None:
        told.append((recorded.event.position, state.version, states.position))
        assert codec.decode(recorded.body, recorded.event.position) == recorded.event

    states.fold_page(page_of(started().add(1, Ticked(done=1)).add(2, Completed()).events), tell=tell)
    assert told == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]


@settings(deadline=None)
@given(st.data())
def test_pages_of_any_size_give_the_states_of_one_event_after_another(data: st.DataObject) -> None:
    runs = [data.draw(lives(run_id=name, max_events=10)) for name in ("r", "s", "t")]
    events = merged(*runs)
    one_by_one, by_pages = States(), States()
    for event in events:
        one_by_one.fold(event)
    page = page_of(events)
    while page:
        size = data.draw(st.integers(1, len(page)))
        assert by_pages.fold_page(page[:size]) == size
        page = page[size:]
    for name in ("r", "s", "t"):
        assert by_pages.get(name) == one_by_one.get(name)
    assert by_pages.active.keys() == one_by_one.active.keys()
    assert by_pages.position == one_by_one.position


def test_changed_are_the_active_runs_beyond_what_is_saved() -> None:
    states = States()
    for name in "rs":
        states.fold(Story(run_id=name, position=states.position).add(0, started().events[0].data).events[0])
    assert [state.run_id for state in states.changed()] == ["r", "s"]
    states.saved = 1
    assert [state.run_id for state in states.changed()] == ["s"]


def test_ended_runs_that_are_kept_leave_when_there_are_too_many() -> None:
    states = States()
    for number in range(ENDED_KEPT + 10):
        story = Story(run_id=f"r{number}", position=states.position)
        for event in story.add(0, started().events[0].data, Completed()).events:
            states.fold(event)
    assert len(states) == states.unkept == ENDED_KEPT + 10
    states.keep(states.ended())
    assert (states.unkept, len(states)) == (0, ENDED_KEPT)
    assert states.get("r0") is None
    assert states.get(f"r{ENDED_KEPT + 9}") is not None


def test_a_long_run_is_marked_from_time_to_time_as_it_was() -> None:
    states = States()
    story = started(total=3 * MARK_EVERY)
    for done in range(1, 2 * MARK_EVERY + 5):
        story.add(done / 1_000, Ticked(done=done))
    seen = {}
    for event in story.events:
        state = states.fold(event)
        if event.version % MARK_EVERY == 0:
            seen[event.version] = deepcopy(state)
    pages = States()
    assert pages.fold_page(page_of(story.events)) == len(story.events)
    assert states.marks == pages.marks
    assert [mark.position for mark in states.take_marks()] == list(seen) == [MARK_EVERY, 2 * MARK_EVERY]
    assert states.take_marks() == []


def test_a_dropped_run_is_nobodys_child() -> None:
    states = States()
    parent = started().events[0]
    child = started(parent="r").events[0]
    child.run_id, child.position = "c", 2
    states.fold(parent)
    states.fold(child)
    states.drop("c")
    assert list(states.active) == ["r"]
    assert states.family.view(states.active["r"], 2e9, states.active).run_id == "r"


@pytest.mark.parametrize("missing", ["x", "r"])
def test_dropping_who_is_not_here_is_nothing(missing: str) -> None:
    states = States()
    states.drop(missing)
    assert len(states) == 0
