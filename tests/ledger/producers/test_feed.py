"""A run's way into the ledger, with a ledger that fails at will."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from progress_ledger.ledger import InvalidTransition, Locked, RunExists, Unavailable
from progress_ledger.ledger.door import Draft
from progress_ledger.ledger.events import Completed, Noted, Payload, RunSpec, StageChanged, Ticked
from progress_ledger.ledger.log import Accepted, Receipt
from progress_ledger.ledger.producers.feed import Feed
from progress_ledger.ledger.producers.sink import Created, News
from tests.ledger.producing import until

pytestmark = pytest.mark.anyio


class Shaky:
    """A sink that does what a test says next: an error to raise, or None to take it."""

    owner = "x"
    answers_may_get_lost = False

    def __init__(self, *, lossy: bool = False) -> None:
        self.taken: list[Draft] = []
        self.fails: list[Exception | None] = []
        self.tried = 0
        self.answers_may_get_lost = lossy

    def clock(self) -> float:
        return 1_700_000_000.0 + self.tried

    def _fail(self) -> None:
        self.tried += 1
        error = self.fails.pop(0) if self.fails else None
        if error is not None:
            raise error

    async def create(self, spec: RunSpec, *, run_id: str | None = None, queued: bool = False) -> Created:
        self._fail()
        return Created(run_id or "r", Receipt(1, 1), True)

    async def append(
        self, run_id: str, events: Sequence[Payload | Draft], *, expected_version: int | None = None
    ) -> Accepted:
        self._fail()
        before = len(self.taken)
        self.taken += [event for event in events if isinstance(event, Draft)]
        receipts = [Receipt(each + 2, each + 2) for each in range(before, len(self.taken))]
        return Accepted(receipts=receipts, appended=len(receipts))

    async def look(self, since: Any) -> dict[str, News]:
        return {}

    @property
    def types(self) -> list[str]:
        return [draft.type for draft in self.taken]


async def fed(sink: Shaky, *said: Payload, wait: bool = True) -> Feed:
    feed = Feed(sink, "r", RunSpec(kind="k"), interval=0.01)
    await feed.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.pump)
        for payload in said:
            feed.post(payload)
        feed.close()
    assert feed.done.is_set()
    return feed


async def test_what_is_said_is_sent_in_order() -> None:
    sink = Shaky()
    await fed(sink, Ticked(advance=1), StageChanged(stage="a"), Completed())
    assert sink.types == ["ticked", "stage_changed", "completed"]


@pytest.mark.acceptance("C12", "A19", "B17")
async def test_what_is_merged_goes_at_once_and_then_on_time() -> None:
    sink = Shaky()
    feed = Feed(sink, "r", RunSpec(kind="k"), interval=0.3)
    await feed.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.pump)
        feed.merge.advance(1)
        await until(lambda: bool(sink.taken))
        for _ in range(100):
            feed.merge.advance(1)
        await anyio.sleep(0.05)
        assert len(sink.taken) == 1
        await until(lambda: len(sink.taken) == 2)
        feed.close()
    assert [draft.payload for draft in sink.taken] == [Ticked(advance=1), Ticked(advance=100)]


@pytest.mark.acceptance("E9", "D13")
async def test_a_failed_append_is_kept_and_sent_again_with_an_id_and_its_time() -> None:
    sink = Shaky()
    sink.fails = [None, Locked("held"), None]
    feed = await fed(sink, Ticked(advance=3))
    (draft,) = sink.taken
    assert draft.event_id is not None
    assert draft.payload.occurred_at is not None
    assert feed.statistics.failures == 1
    assert feed.statistics.appended == 2


async def test_where_answers_get_lost_the_same_bytes_are_sent_again() -> None:
    sink = Shaky(lossy=True)
    sink.fails = [None, Unavailable("lost"), None]
    await fed(sink, Ticked(advance=3))
    assert sink.taken[0].event_id is not None


async def test_a_refused_event_takes_no_other_with_it() -> None:
    sink = Shaky()
    refused = InvalidTransition("r", "running", "noted")
    sink.fails = [None, refused, None, refused, None]  # the batch, then one by one
    feed = await fed(sink, Ticked(advance=1), Noted(message="x"), Ticked(advance=2))
    assert [draft.payload for draft in sink.taken] == [Ticked(advance=1), Ticked(advance=2)]
    assert feed.statistics.refused == 1


async def test_a_run_that_could_not_be_created_is_created_first_when_the_ledger_is_back() -> None:
    sink = Shaky()
    sink.fails = [Unavailable("away"), None]
    feed = await fed(sink, Completed())
    assert sink.types == ["completed"]
    assert feed.spec.occurred_at is not None


async def test_strict_raises_at_the_beginning() -> None:
    sink = Shaky()
    sink.fails = [Unavailable("away")]
    with pytest.raises(Unavailable):
        await Feed(sink, "r", RunSpec(kind="k"), strict=True).begin()


async def test_a_run_taken_by_others_meanwhile_is_told_at_the_next_call() -> None:
    sink = Shaky()
    sink.fails = [Unavailable("away"), RunExists("r")]
    feed = await fed(sink, Ticked(advance=1))
    assert isinstance(feed.refusal, RunExists)


async def test_giving_up_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed(Shaky(), "r", RunSpec(kind="k"))
    feed.post(Ticked(advance=1))
    feed.post(Completed())
    feed.give_up()
    assert feed.statistics.lost == 2
    assert "its end (completed) could not be written" in caplog.text
