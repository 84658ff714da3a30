"""Planning: pure, whole, and the short way decides like the long one."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from progress_ledger.ledger import batch, codec
from progress_ledger.ledger.batch import World, known_of, needs, plan
from progress_ledger.ledger.door import Draft, draft_event, draft_run
from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.events import (
    Completed,
    Heartbeat,
    Noted,
    Paused,
    Resumed,
    RunSpec,
    Started,
    Ticked,
)
from progress_ledger.ledger.log import Accepted, Append, Stored

AT = "2026-11-21T23:34:40.000000Z"
RUNS = ("a", "b", "c")
DRAFTS: list[Draft] = [
    draft_event(Ticked(done=1)),
    draft_event(Ticked(done=2), event_id="x"),
    draft_event(Ticked(done=3), event_id="x"),
    draft_event(Noted(message="m"), event_id="y"),
    draft_event(Paused()),
    draft_event(Resumed()),
    draft_event(Heartbeat()),
    draft_event(Completed()),
    draft_event(Completed(), event_id="z"),
    draft_event(Started(kind="k", slot="s")),
    draft_event(Started()),
]
REQUEST = st.one_of(
    st.builds(
        Append,
        run_id=st.sampled_from(RUNS),
        drafts=st.lists(st.sampled_from(DRAFTS), max_size=3),
        expected_version=st.none() | st.integers(0, 4),
    ),
    st.builds(
        lambda run_id, slot: Append(
            run_id=run_id, drafts=[draft_run(RunSpec(kind="k", slot=slot))], create=True
        ),
        st.sampled_from(RUNS),
        st.sampled_from([None, "s"]),
    ),
)


def _world() -> World:
    return World(position=0, number=0, heads={}, slots={}, known={}, firsts={})


@settings(max_examples=300, deadline=None)
@given(requests=st.lists(REQUEST, max_size=14))
def test_the_short_way_decides_like_the_long_one(requests: list[Append]) -> None:
    short, long = _world(), _world()
    fast = plan(requests, short, time=AT)
    original = batch._next
    try:
        batch._next = lambda *_: None
        slow = plan(requests, long, time=AT)
    finally:
        batch._next = original
    assert [_told(each) for each in fast.outcomes] == [_told(each) for each in slow.outcomes]
    assert fast[1:] == slow[1:]
    # Of a slot's holder the short way keeps what a refusal tells: who, and in which status.
    holders = [
        {slot: (head.run_id, head.status) for slot, head in each.slots.items()} for each in (short, long)
    ]
    assert holders[0] == holders[1]
    short.slots = long.slots
    assert short == long


@settings(max_examples=200, deadline=None)
@given(requests=st.lists(REQUEST, max_size=14))
def test_a_plan_is_dense_linked_and_true_to_its_bytes(requests: list[Append]) -> None:
    world = _world()
    done = plan(requests, world, time=AT)
    assert len(done.outcomes) == len(requests)
    assert [row[0] for row in done.rows] == list(range(1, len(done.rows) + 1))
    assert world.position == len(done.rows)
    accepted = [each for each in done.outcomes if isinstance(each, Accepted)]
    assert sum(each.appended for each in accepted) == len(done.rows)
    last: dict[str, tuple[int, int]] = {}
    for (position, number, previous, text), recorded in zip(done.rows, done.events, strict=True):
        event = recorded.event
        assert recorded.body == text.encode()
        assert codec.decode(recorded.body, position) == event
        version, before = last.get(event.run_id, (0, 0))
        assert (event.version, previous) == (version + 1, before)
        assert number == world.heads[event.run_id].number
        last[event.run_id] = (event.version, position)
    assert {run_id: (head.version, head.last) for run_id, head in done.touched.items()} == last
    assert {head.slot: head.run_id for head in world.heads.values() if head.slot and head.active} == {
        slot: head.run_id for slot, head in world.slots.items()
    }
    assert done.event_ids == [
        (world.heads[each.event.run_id].number, each.event.event_id, each.event.position)
        for each in done.events
        if each.event.event_id is not None
    ]


def _told(outcome: Accepted | LedgerError) -> Any:
    return outcome if isinstance(outcome, Accepted) else (outcome.code, str(outcome))


def test_needs_names_all_that_a_plan_asks_for() -> None:
    spec = RunSpec(kind="k", slot="s", retry_of="old")
    wanted = needs(
        [
            Append(run_id="a", drafts=[draft_run(spec)], create=True),
            Append(run_id="b", drafts=[draft_event(Ticked(done=1), event_id="x"), draft_event(Heartbeat())]),
        ]
    )
    assert wanted.run_ids == {"a", "b", "old"}
    assert wanted.slots == {"s"}
    assert wanted.event_ids == {("b", "x")}
    assert wanted.firsts == {"a"}


def test_what_the_ledger_stamped_is_not_part_of_what_is_compared() -> None:
    spec = Started(kind="k", retry_of="old")
    stamped = codec.encode_data(msgspec.structs.replace(spec, attempt=4))
    body = codec.stored_form("r", 1, AT, "started", stamped, None).encode()
    known = known_of(Stored(3, body))
    assert known.data == codec.encode_data(spec)
    assert (known.type, known.receipt.position, known.receipt.version) == ("started", 3, 1)


def test_an_event_of_a_newer_release_is_compared_by_its_bytes() -> None:
    body = codec.stored_form("r", 2, AT, "exploded", '{"debris":3}', "e").encode()
    assert known_of(Stored(3, body)).data == '{"debris":3}'


def test_a_pruned_runs_id_stays_taken_and_nothing_is_said_of_its_spec() -> None:
    request = Append(run_id="a", drafts=[draft_run(RunSpec(kind="k"))], create=True)
    world = World(position=0, number=0, heads={}, slots={}, known={}, firsts={})
    plan([request], world, time=AT)
    world.firsts.clear()
    (refused,) = plan([request], world, time=AT).outcomes
    assert isinstance(refused, LedgerError)
    assert (refused.code, "pruned" in str(refused)) == ("run_exists", True)
