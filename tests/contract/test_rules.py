"""What may enter a log: the same on every engine."""

from __future__ import annotations

import itertools

import pytest

from progress_ledger.ledger.door import Draft
from progress_ledger.ledger.errors import (
    EventIdConflict,
    InvalidEvent,
    InvalidRun,
    InvalidTransition,
    LedgerError,
    RunEnded,
    RunExists,
    RunNotFound,
    SlotTaken,
    VersionConflict,
)
from progress_ledger.ledger.events import (
    ACTIVE,
    PAYLOADS,
    TERMINAL,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    Heartbeat,
    Interrupted,
    Noted,
    Paused,
    Payload,
    Queued,
    Resumed,
    Rewound,
    RunSpec,
    StageChanged,
    Started,
    Ticked,
    TotalChanged,
)
from progress_ledger.ledger.log import Accepted, Append, EventLog, Receipt, RunFilter
from tests.contract.steps import (
    NOW,
    accepted,
    append,
    contents,
    creation,
    draft,
    events,
    outcomes,
    refused,
    ticks,
)

pytestmark = pytest.mark.anyio

ONE_OF_EACH: dict[str, Payload] = {
    "queued": Queued(kind="k"),
    "started": Started(),
    "ticked": Ticked(done=1),
    "stage_changed": StageChanged(stage="s"),
    "total_changed": TotalChanged(total=None),
    "rewound": Rewound(done=0),
    "noted": Noted(message="m"),
    "heartbeat": Heartbeat(),
    "paused": Paused(),
    "resumed": Resumed(),
    "cancel_requested": CancelRequested(),
    "completed": Completed(),
    "failed": Failed(error="e"),
    "cancelled": Cancelled(),
    "interrupted": Interrupted(reason="r"),
}
ALWAYS = {"noted", "heartbeat", "cancel_requested", "total_changed"} | TERMINAL
MAY_COME: dict[str, set[str]] = {
    "queued": {"started"} | ALWAYS,
    "running": set(PAYLOADS) - {"queued", "started", "resumed"},
    "paused": {"resumed"} | ALWAYS,
}


async def _bring_to(log: EventLog, run_id: str, status: str) -> None:
    await accepted(log, creation(run_id, queued=status == "queued"))
    if status == "paused":
        await accepted(log, append(run_id, draft(Paused())))
    elif status in TERMINAL:
        await accepted(log, append(run_id, draft(ONE_OF_EACH[status])))


# ── the first event, and the transitions ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("event_type", sorted(PAYLOADS))
async def test_a_run_begins_with_queued_or_started_and_with_nothing_else(
    log: EventLog, event_type: str
) -> None:
    if event_type in ("queued", "started"):
        first = Queued(kind="k") if event_type == "queued" else Started(kind="k")
        assert (await accepted(log, append("r", draft(first)))).receipts[0].version == 1
    else:
        error = await refused(log, append("r", draft(ONE_OF_EACH[event_type])))
        assert isinstance(error, RunNotFound)
        assert event_type in str(error)


async def test_a_first_event_without_a_kind_is_refused(log: EventLog) -> None:
    error = await refused(log, append("r", draft(Started())))
    assert isinstance(error, InvalidEvent)
    assert error.field == "data.kind"


@pytest.mark.parametrize(("status", "event_type"), list(itertools.product(sorted(ACTIVE), sorted(PAYLOADS))))
async def test_the_transition_table_holds_for_every_status_and_type(
    log: EventLog, status: str, event_type: str
) -> None:
    await _bring_to(log, "r", status)
    request = append("r", draft(ONE_OF_EACH[event_type]))
    if event_type in MAY_COME[status]:
        assert (await accepted(log, request)).appended == 1
    else:
        error = await refused(log, request)
        assert isinstance(error, InvalidTransition)
        assert error.fields() == {"run_id": "r", "status": status, "type": event_type}


@pytest.mark.parametrize(
    ("status", "event_type"), list(itertools.product(sorted(TERMINAL), sorted(PAYLOADS)))
)
async def test_an_ended_run_takes_nothing_and_its_own_end_is_answered_again(
    log: EventLog, status: str, event_type: str
) -> None:
    await _bring_to(log, "r", status)
    head = await log.run("r")
    assert head is not None
    if event_type == status:
        again = await accepted(log, append("r", draft(ONE_OF_EACH[event_type])))
        assert again == Accepted(receipts=[Receipt(head.last, head.version)], appended=0)
    else:
        error = await refused(log, append("r", draft(ONE_OF_EACH[event_type])))
        assert isinstance(error, RunEnded)
        assert error.status == status
    assert await log.run("r") == head


async def test_the_same_end_with_other_words_changes_nothing(log: EventLog) -> None:
    await accepted(log, creation("r"))
    first = await accepted(log, append("r", draft(Failed(error="disk"))))
    again = await accepted(log, append("r", draft(Failed(error="network"))))
    assert (again.receipts, again.appended) == (first.receipts, 0)
    assert [event.data for event in await events(log, "r")][-1] == Failed(error="disk")


async def test_an_end_twice_in_one_batch_is_stored_once(log: EventLog) -> None:
    await accepted(log, creation("r"))
    done = await accepted(log, append("r", draft(Completed()), draft(Completed()), draft(Completed())))
    assert done.appended == 1
    assert len(set(done.receipts)) == 1


async def test_a_spec_comes_with_the_first_event_only(log: EventLog) -> None:
    await accepted(log, creation("r", queued=True))
    error = await refused(log, append("r", draft(Started(kind="other"))))
    assert isinstance(error, InvalidEvent)
    assert (
        await accepted(log, append("r", draft(Started(occurred_at="2026-01-01T00:00:00Z"))))
    ).appended == 1


async def test_an_id_that_cannot_be_a_runs_is_refused_even_from_a_hand_made_request(log: EventLog) -> None:
    error = await refused(log, append('r","version":9,"x":"', draft(Started(kind="k"))))
    assert isinstance(error, InvalidRun)
    assert isinstance(await refused(log, append("r\udc00", draft(Started(kind="k")))), InvalidRun)


# ── expected version ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("expected", [None, 0, 1, 2, 3, 2**63, 2**80])
async def test_an_expected_version_must_be_the_runs_version(log: EventLog, expected: int | None) -> None:
    await accepted(log, creation("r"))
    await accepted(log, append("r", *ticks(1)))
    request = append("r", *ticks(2), expected=expected)
    if expected in (None, 2):
        assert (await accepted(log, request)).receipts[0].version == 3
    else:
        error = await refused(log, request)
        assert isinstance(error, VersionConflict)
        assert error.current_version == 2
        assert error.expected_version == expected


@pytest.mark.parametrize("expected", [None, 0, 1])
async def test_expected_version_zero_says_that_the_run_must_not_exist(
    log: EventLog, expected: int | None
) -> None:
    request = append("r", draft(Started(kind="k")), expected=expected)
    if expected == 1:
        error = await refused(log, request)
        assert isinstance(error, VersionConflict)
        assert error.current_version == 0
    else:
        assert (await accepted(log, request)).receipts[0].version == 1
        assert isinstance(await refused(log, append("r", *ticks(1), expected=0)), VersionConflict)


async def test_of_two_that_expect_the_same_version_in_one_batch_one_wins(log: EventLog) -> None:
    await accepted(log, creation("r"))
    first, second = await outcomes(
        log, append("r", *ticks(1), expected=1), append("r", *ticks(2), expected=1)
    )
    assert isinstance(first, Accepted)
    assert isinstance(second, VersionConflict)
    assert second.current_version == 2


async def test_an_empty_append_stores_nothing_and_still_checks(log: EventLog) -> None:
    assert isinstance(await refused(log, append("r")), RunNotFound)
    await accepted(log, creation("r"))
    assert await accepted(log, append("r", expected=1)) == Accepted(receipts=[], appended=0)
    assert isinstance(await refused(log, append("r", expected=2)), VersionConflict)


# ── event ids ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_known_event_id_is_answered_with_the_first_receipt(log: EventLog) -> None:
    await accepted(log, creation("r"))
    first = await accepted(log, append("r", draft(Ticked(done=1), "a")))
    await accepted(log, append("r", *ticks(2)))
    again = await accepted(log, append("r", draft(Ticked(done=1), "a")))
    assert again == Accepted(receipts=first.receipts, appended=0)


async def test_a_known_event_id_is_answered_after_the_end_too(log: EventLog) -> None:
    await accepted(log, creation("r"))
    first = await accepted(log, append("r", draft(Ticked(done=1), "a"), draft(Completed(), "b")))
    assert await accepted(log, append("r", draft(Ticked(done=1), "a"))) == Accepted(
        receipts=first.receipts[:1], appended=0
    )
    assert await accepted(log, append("r", draft(Ticked(done=1), "a"), draft(Completed(), "b"))) == Accepted(
        receipts=first.receipts, appended=0
    )


async def test_a_known_event_id_with_other_content_is_refused(log: EventLog) -> None:
    await accepted(log, creation("r"))
    await accepted(log, append("r", draft(Ticked(done=1), "a")))
    for other in (Ticked(done=2), Ticked(advance=1), Heartbeat()):
        error = await refused(log, append("r", draft(other, "a")))
        assert isinstance(error, EventIdConflict)
        assert error.event_id == "a"
    await accepted(log, append("r", draft(Completed())))
    assert isinstance(await refused(log, append("r", draft(Ticked(done=2), "a"))), EventIdConflict)


async def test_the_order_of_an_objects_keys_is_not_content(log: EventLog) -> None:
    await accepted(log, creation("r"))
    first = await accepted(log, append("r", draft(Ticked(done=1, counts={"a": 1, "b": 2}), "x")))
    again = await accepted(log, append("r", draft(Ticked(done=1, counts={"b": 2, "a": 1}), "x")))
    assert again == Accepted(receipts=first.receipts, appended=0)


async def test_the_same_event_id_on_another_run_is_another_event(log: EventLog) -> None:
    for run_id in ("r", "s"):
        await accepted(log, creation(run_id))
        assert (await accepted(log, append(run_id, draft(Ticked(done=1), "a")))).appended == 1


async def test_an_event_id_twice_in_one_request_is_stored_once(log: EventLog) -> None:
    await accepted(log, creation("r"))
    tick = draft(Ticked(done=1), "a")
    done = await accepted(log, append("r", tick, draft(Ticked(done=2)), tick))
    assert done.appended == 2
    assert done.receipts[0] == done.receipts[2] != done.receipts[1]
    error = await refused(log, append("r", draft(Ticked(done=5), "b"), draft(Ticked(done=6), "b")))
    assert isinstance(error, EventIdConflict)


async def test_an_event_id_twice_on_an_end_that_is_known_is_answered_twice(log: EventLog) -> None:
    await accepted(log, creation("r"))
    end = draft(Completed(), "b")
    first = await accepted(log, append("r", draft(Completed(), "a"), end, end))
    assert first.appended == 1
    assert len(set(first.receipts)) == 1
    assert (await accepted(log, append("r", end, end))).receipts == first.receipts[:2]


async def test_an_event_id_twice_in_one_batch_of_requests_is_stored_once(log: EventLog) -> None:
    await accepted(log, creation("r"))
    request = append("r", draft(Ticked(done=1), "a"))
    first, second = await outcomes(log, request, request)
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.appended, second.appended) == (1, 0)
    assert first.receipts == second.receipts


async def test_what_is_known_is_left_out_and_what_is_new_is_appended(log: EventLog) -> None:
    await accepted(log, creation("r"))
    first = await accepted(log, append("r", draft(Ticked(done=1), "a")))
    both = await accepted(log, append("r", draft(Ticked(done=1), "a"), draft(Ticked(done=2), "b")))
    assert both.appended == 1
    assert both.receipts[0] == first.receipts[0]
    assert both.receipts[1].version == 3


# ── the order of the checks ─────────────────────────────────────────────────────────────────────────────


async def test_the_checks_come_in_their_order(log: EventLog) -> None:
    await accepted(log, creation("holder", RunSpec(kind="k", slot="s")))
    await accepted(log, creation("r"))
    known = draft(Ticked(done=1), "a")
    await accepted(log, append("r", known))
    # a known event_id goes before everything
    assert (await accepted(log, append("r", known, expected=77))).appended == 0
    # an expected version goes before the transition, and the transition before the slot
    assert isinstance(await refused(log, append("r", draft(Resumed()), expected=77)), VersionConflict)
    assert isinstance(await refused(log, append("r", draft(Queued(kind="k", slot="s")))), InvalidTransition)
    assert isinstance(await refused(log, append("new", draft(Resumed()), expected=3)), VersionConflict)
    assert isinstance(
        await refused(log, append("new", draft(Queued(kind="k", slot="s")), expected=3)), VersionConflict
    )
    # the end goes before the expected version
    await accepted(log, append("r", draft(Completed())))
    assert isinstance(await refused(log, append("r", *ticks(5), expected=77)), RunEnded)
    assert (await accepted(log, append("r", draft(Completed()), expected=77))).appended == 0
    # and a known event_id before the end
    assert isinstance(
        await refused(log, append("r", draft(Ticked(done=9), "a"), expected=77)), EventIdConflict
    )


# ── slots ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("holding", ["queued", "running", "paused"])
async def test_a_slot_that_is_held_refuses_a_second_run_and_names_the_holder(
    log: EventLog, holding: str
) -> None:
    spec = RunSpec(kind="k", slot="s", owner="me")
    await accepted(log, creation("first", spec, queued=holding == "queued"))
    if holding == "paused":
        await accepted(log, append("first", draft(Paused())))
    error = await refused(log, creation("second", RunSpec(kind="other", slot="s")))
    assert isinstance(error, SlotTaken)
    assert error.fields() == {
        "slot": "s",
        "run": {"run_id": "first", "kind": "k", "status": holding, "owner": "me"},
    }


@pytest.mark.parametrize("end", sorted(TERMINAL))
async def test_every_end_frees_the_slot(log: EventLog, end: str) -> None:
    spec = RunSpec(kind="k", slot="s")
    await accepted(log, creation("first", spec))
    await accepted(log, append("first", draft(ONE_OF_EACH[end])))
    await accepted(log, creation("second", spec))
    assert isinstance(await refused(log, creation("third", spec)), SlotTaken)


async def test_a_slot_is_passed_on_within_one_batch(log: EventLog) -> None:
    spec = RunSpec(kind="k", slot="s")
    await accepted(log, creation("first", spec))
    refusal, end, second, third = await outcomes(
        log,
        creation("too-early", spec),
        append("first", draft(Completed())),
        creation("second", spec),
        creation("third", spec),
    )
    assert isinstance(refusal, SlotTaken)
    assert isinstance(end, Accepted)
    assert isinstance(second, Accepted)
    assert isinstance(third, SlotTaken)
    assert third.run.run_id == "second"
    assert isinstance(await refused(log, creation("fourth", spec)), SlotTaken)


async def test_a_run_that_begins_and_ends_in_one_batch_holds_no_slot(log: EventLog) -> None:
    spec = RunSpec(kind="k", slot="s")
    await accepted(log, append("first", draft(Started(kind="k", slot="s")), draft(Completed())))
    await accepted(log, creation("second", spec))


async def test_runs_without_a_slot_stand_in_nobodys_way(log: EventLog) -> None:
    for number in range(3):
        await accepted(log, creation(f"r{number}"))


# ── batches ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "bad",
    [
        [draft(Resumed())],
        [draft(Completed()), draft(Ticked(done=9))],
        [draft(Started(kind="k"))],
        [draft(Ticked(done=7), "known")],
    ],
    ids=["transition", "after its own end", "a second start", "event id"],
)
async def test_a_request_is_all_or_nothing_wherever_it_fails(log: EventLog, bad: list[Draft]) -> None:
    await accepted(log, creation("r"))
    await accepted(log, append("r", draft(Ticked(done=1), "known")))
    head = await log.run("r")
    await refused(log, append("r", *ticks(1, 2), *bad))
    await refused(log, append("r", draft(Ticked(done=1), "unknown"), *bad))
    assert await log.run("r") == head
    assert (await accepted(log, append("r", draft(Ticked(done=1), "unknown")))).appended == 1


async def test_a_refused_first_event_leaves_no_run(log: EventLog) -> None:
    await refused(log, append("r", draft(Started(kind="k")), draft(Resumed())))
    assert await log.run("r") is None
    assert await log.count_runs(RunFilter()) == {}


async def test_one_refusal_in_a_batch_leaves_the_others_alone(log: EventLog) -> None:
    found = await outcomes(
        log,
        creation("a"),
        append("nobody", *ticks(1)),
        append("a", *ticks(1, 2)),
        creation("b"),
        append("a", draft(Resumed())),
        append("b", *ticks(3)),
    )
    assert [isinstance(each, Accepted) for each in found] == [True, False, True, True, False, True]
    positions = [
        receipt.position for each in found if isinstance(each, Accepted) for receipt in each.receipts
    ]
    assert positions == sorted(set(positions))
    assert [position for position, _ in await contents(log)] == positions
    assert [event.version for event in await events(log, "a")] == [1, 2, 3]


async def test_a_commit_says_what_is_new_and_what_was_before(log: EventLog) -> None:
    first = await log.commit([creation("a")], now=NOW)
    commit = await log.commit([append("a", *ticks(1)), append("x", *ticks(1)), creation("b")], now=NOW)
    assert commit.after == first.events[-1].event.position
    assert [(each.event.run_id, each.event.type) for each in commit.events] == [
        ("a", "ticked"),
        ("b", "started"),
    ]
    assert {run_id: head.version for run_id, head in commit.heads.items()} == {"a": 2, "b": 1}
    assert [each.body for each in commit.events] == [
        body for _, body in await log.read(commit.after, limit=9)
    ]
    for recorded in commit.events:
        (read,) = await events(log, recorded.event.run_id, after=recorded.event.version - 1)
        assert read == recorded.event


# ── creation, attempts, time ────────────────────────────────────────────────────────────────────────────


async def test_the_same_creation_again_is_answered_like_the_first_time(log: EventLog) -> None:
    spec = RunSpec(kind="k", labels={"a": "1", "b": "2"}, slot="s", total=5)
    first = await accepted(log, creation("r", spec))
    again = await accepted(
        log, creation("r", RunSpec(kind="k", labels={"b": "2", "a": "1"}, slot="s", total=5))
    )
    assert again == Accepted(receipts=first.receipts, appended=0)
    await accepted(log, append("r", *ticks(1), draft(Completed())))
    assert await accepted(log, creation("r", spec)) == Accepted(receipts=first.receipts, appended=0)


@pytest.mark.parametrize(
    ("other", "queued"),
    [(RunSpec(kind="k", total=5), False), (RunSpec(kind="other"), False), (RunSpec(kind="k"), True)],
)
async def test_another_spec_on_a_run_that_exists_is_refused(
    log: EventLog, other: RunSpec, queued: bool
) -> None:
    await accepted(log, creation("r", RunSpec(kind="k")))
    assert isinstance(await refused(log, creation("r", other, queued=queued)), RunExists)


async def test_two_same_creations_in_one_batch_are_one_run(log: EventLog) -> None:
    first, again, other = await outcomes(log, creation("r"), creation("r"), creation("r", RunSpec(kind="x")))
    assert isinstance(first, Accepted)
    assert again == Accepted(receipts=first.receipts, appended=0)
    assert isinstance(other, RunExists)


@pytest.mark.parametrize(
    ("field", "spec"),
    [("parent", RunSpec(kind="k", parent="a")), ("retry_of", RunSpec(kind="k", retry_of="a"))],
)
async def test_a_run_is_neither_its_own_parent_nor_its_own_retry(
    log: EventLog, field: str, spec: RunSpec
) -> None:
    refusal = await refused(log, creation("a", spec))
    assert isinstance(refusal, InvalidRun)
    assert refusal.field == field
    await accepted(log, creation("a"))


async def test_attempts_are_counted_along_retry_of(log: EventLog) -> None:
    await accepted(log, creation("a"))
    retry = RunSpec(kind="k", retry_of="a")
    await accepted(log, creation("b", retry))
    await outcomes(
        log, creation("c", RunSpec(kind="k", retry_of="b")), creation("d", RunSpec(kind="k", retry_of="c"))
    )
    attempts = {run_id: head.attempt for run_id, head in (await log.runs_by_id("abcd")).items()}
    assert attempts == {"a": 1, "b": 2, "c": 3, "d": 4}
    (event,) = await events(log, "c")
    assert isinstance(event.data, Started)
    assert event.data.attempt == 3
    # and what the ledger stamped does not stand in the way of saying the same again
    assert (await accepted(log, creation("b", retry))).appended == 0


async def test_a_clock_that_steps_back_gives_the_time_of_the_runs_last_event(log: EventLog) -> None:
    await accepted(log, creation("r"), now=NOW)
    await accepted(log, append("r", *ticks(1)), now=NOW - 3600)
    await accepted(log, append("r", *ticks(2, 3)), now=NOW + 1)
    await accepted(log, append("r", draft(Completed())), now=NOW)
    times = [event.time for event in await events(log, "r")]
    assert times == sorted(times)
    assert times[0] == times[1] < times[2] == times[3] == times[4]
    assert all(len(time) == 27 for time in times)
    # and another run is not bound by it
    await accepted(log, creation("s"), now=NOW - 3600)
    assert (await events(log, "s"))[0].time < times[0]


def test_the_sample_has_every_type() -> None:
    assert set(ONE_OF_EACH) == set(PAYLOADS)
    assert issubclass(SlotTaken, LedgerError)


def test_a_request_is_plain_data() -> None:
    assert Append(run_id="r", drafts=[]) == append("r")
