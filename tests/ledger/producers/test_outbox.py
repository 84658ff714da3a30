"""What the log has not taken yet: in order, once, bounded."""

from __future__ import annotations

from progress_ledger.ledger.events import Completed, Noted, StageChanged, Ticked
from progress_ledger.ledger.producers.outbox import Outbox

NOW, LATER = "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:09.000000Z"


def test_an_event_that_went_straight_through_carries_neither_id_nor_time() -> None:
    outbox = Outbox("x")
    outbox.add(Ticked(advance=1), now=NOW)
    (entry,) = outbox.batch()
    assert (entry.event_id, entry.payload.occurred_at) == (None, None)
    outbox.settle([entry])
    assert len(outbox) == 0


def test_what_waits_gets_an_id_of_its_own_and_says_when_it_happened() -> None:
    outbox = Outbox("x")
    outbox.add(Ticked(advance=1), now=NOW)
    outbox.postpone(outbox.batch(), uncertain=False)
    outbox.add(Ticked(advance=1), now=LATER)
    assert [entry.event_id for entry in outbox.batch()] == ["x-1", "x-2"]
    assert [entry.payload.occurred_at for entry in outbox.batch()] == [NOW, LATER]
    assert [entry.draft().event_id for entry in outbox.batch()] == ["x-1", "x-2"]


def test_what_may_be_stored_already_keeps_its_content() -> None:
    outbox = Outbox("x", always_ids=True)
    outbox.add(Ticked(advance=1), now=NOW)
    before = outbox.batch()[0].draft()
    outbox.postpone(outbox.batch(), uncertain=True)
    assert outbox.batch()[0].draft() == before


def test_at_the_bound_ticks_are_joined_and_no_count_is_lost() -> None:
    outbox = Outbox("x", limit=10)
    for _ in range(1_000):
        outbox.add(Ticked(advance=1), now=NOW)
    assert len(outbox) <= 10
    assert outbox.lost == 0
    ticks = [entry.payload for entry in outbox.batch()]
    assert sum(tick.advance or 0 for tick in ticks if isinstance(tick, Ticked)) == 1_000


def test_at_the_bound_the_oldest_facts_are_given_up_and_counted_but_never_the_end() -> None:
    outbox = Outbox("x", limit=10)
    for number in range(20):
        outbox.add(Noted(message=str(number)), now=NOW)
    outbox.add(Completed(), now=NOW)
    assert [entry.payload for entry in outbox.batch()][-2:] == [Noted(message="19"), Completed()]
    assert outbox.lost == 21 - len(outbox)
    assert outbox.terminal == "completed"


def test_ticks_are_not_joined_across_a_stage() -> None:
    outbox = Outbox("x", limit=3)
    for payload in (Ticked(advance=1), StageChanged(stage="b"), Ticked(advance=2), Ticked(advance=3)):
        outbox.add(payload, now=NOW)
    assert [entry.payload for entry in outbox.batch()] == [
        Ticked(advance=1),
        StageChanged(stage="b"),
        Ticked(advance=5),
    ]


def test_whoever_waits_is_answered_once_also_when_all_is_given_up() -> None:
    answers: list[object] = []
    outbox = Outbox("x")
    outbox.add(Ticked(advance=1), now=NOW, reply=lambda receipt, error: answers.append(receipt))
    assert outbox.clear() == 1
    assert outbox.clear() == 0
    assert answers == [None]
