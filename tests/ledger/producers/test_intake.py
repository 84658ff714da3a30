"""What was said becomes events in an order that the log accepts."""

from __future__ import annotations

from progress_ledger.ledger.events import (
    Completed,
    Noted,
    Paused,
    Payload,
    Resumed,
    StageChanged,
    Started,
    Ticked,
)
from progress_ledger.ledger.producers.intake import Intake, Post
from progress_ledger.ledger.producers.merge import Merge
from progress_ledger.ledger.producers.outbox import Outbox

NOW = "2026-01-01T00:00:00.000000Z"


class Desk:
    def __init__(self, *, queued: bool = False) -> None:
        self.merge = Merge()
        self.outbox = Outbox("x")
        self.intake = Intake("r", self.merge, self.outbox, queued=queued)

    def fact(self, payload: Payload) -> None:
        self.intake.fact(Post(payload), NOW)

    @property
    def said(self) -> list[Payload]:
        return [entry.payload for entry in self.outbox.batch()]


def test_what_was_merged_goes_before_the_fact() -> None:
    desk = Desk()
    desk.merge.advance(3)
    desk.fact(StageChanged(stage="b"))
    assert desk.said == [Ticked(advance=3), StageChanged(stage="b")]


def test_one_tick_asked_for_is_one_tick_with_what_was_merged() -> None:
    desk = Desk()
    desk.merge.advance(3, counts={"a": 1})
    desk.fact(Ticked(advance=1))
    assert desk.said == [Ticked(advance=4, counts={"a": 1})]


def test_work_on_a_queued_run_starts_it() -> None:
    desk = Desk(queued=True)
    desk.fact(Noted(message="waits"))
    desk.merge.advance()
    assert desk.intake.ticks(NOW)
    assert desk.said == [Noted(message="waits"), Started(), Ticked(advance=1)]


def test_ticks_of_a_paused_run_are_held_until_it_goes_on() -> None:
    desk = Desk()
    desk.fact(Paused())
    desk.merge.advance(2)
    assert not desk.intake.ticks(NOW)
    desk.fact(Noted(message="n"))
    desk.fact(Resumed())
    assert desk.intake.ticks(NOW)
    assert desk.said == [Paused(), Noted(message="n"), Resumed(), Ticked(advance=2)]


def test_the_last_state_goes_before_the_end_also_from_a_pause() -> None:
    desk = Desk()
    desk.fact(Paused())
    desk.merge.advance(2)
    desk.fact(Completed())
    assert desk.said == [Paused(), Resumed(), Ticked(advance=2), Completed()]


def test_after_the_end_nothing_follows_and_whoever_waits_is_told() -> None:
    desk = Desk()
    desk.fact(Completed())
    told: list[object] = []
    desk.intake.fact(Post(Noted(message="late"), lambda receipt, error: told.append(error)), NOW)
    desk.merge.advance()
    assert not desk.intake.ticks(NOW)
    assert desk.said == [Completed()]
    assert getattr(told[0], "code", None) == "run_ended"
