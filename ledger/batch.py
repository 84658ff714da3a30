"""Decide a batch of requests before any of it is written.

Given what the log holds about the runs, slots and event ids concerned, :func:`plan` says for each
request whether it is accepted, and which rows that makes. It is the one place where the rules live:

1. shape and size were checked at the door; here they are taken as right;
2. a known ``event_id`` is answered with its first receipt, or refused when its content differs;
3. an ended run takes nothing: the same terminal type again is answered with the first one;
4. ``expected_version`` must match;
5. the transition must be allowed in the run's status;
6. a slot has one active run.

Requests are decided one after another, each seeing what the earlier ones of the batch did, and each
whole: a refused request leaves no trace.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import msgspec

from . import codec
from .door import Draft, check_run_id
from .errors import (
    EventIdConflict,
    InvalidEvent,
    InvalidRun,
    InvalidTransition,
    LedgerError,
    RunEnded,
    RunExists,
    RunNotFound,
    SlotHolder,
    SlotTaken,
    VersionConflict,
)
from .events import TERMINAL, RunSpec
from .lifecycle import next_status
from .log import Accepted, Append, Receipt, Recorded, RunHead, Stored

__all__ = ("Known", "Needs", "Plan", "World", "known_of", "needs", "plan")


_FIRST = frozenset(("queued", "started"))


class Known(NamedTuple):
    """An event already in the log: its receipt, type and stored data."""

    receipt: Receipt
    type: str
    data: str


class Needs(NamedTuple):
    """What must be known about the log to decide some requests."""

    run_ids: set[str]
    slots: set[str]
    event_ids: set[tuple[str, str]]
    firsts: set[str]


class World(msgspec.Struct, kw_only=True):
    """What is known. :func:`plan` moves it forward as it accepts."""

    position: int
    number: int
    heads: dict[str, RunHead]
    slots: dict[str, RunHead]
    known: dict[tuple[str, str], Known]
    firsts: dict[str, Known]


class Plan(NamedTuple):
    """What to write, and each request's outcome.

    ``rows`` are the new ``events`` as a table takes them: position, the run's number, position of the run's
    event before (0 for the first), stored text. ``changed`` has the numbers of runs whose status moved.
    """

    outcomes: list[Accepted | LedgerError]
    events: list[Recorded]
    rows: list[tuple[int, int, int, str]]
    created: list[RunHead]
    touched: dict[str, RunHead]
    changed: set[int]
    event_ids: list[tuple[int, str, int]]


def needs(requests: Sequence[Append]) -> Needs:
    """What :func:`plan` will ask about these requests."""
    run_ids: set[str] = set()
    slots: set[str] = set()
    event_ids: set[tuple[str, str]] = set()
    firsts: set[str] = set()
    for request in requests:
        run_ids.add(request.run_id)
        if request.create:
            firsts.add(request.run_id)
        for draft in request.drafts:
            if draft.event_id is not None:
                event_ids.add((request.run_id, draft.event_id))
            if draft.type in _FIRST:
                spec = cast("RunSpec", draft.payload)
                if spec.slot is not None:
                    slots.add(spec.slot)
                if spec.retry_of is not None:
                    run_ids.add(spec.retry_of)
    return Needs(run_ids, slots, event_ids, firsts)


def plan(requests: Sequence[Append], world: World, *, time: str) -> Plan:
    """Decide all requests in order. ``time`` is the clock, in the log's own form."""
    done = Plan([], [], [], [], {}, set(), [])
    for request in requests:
        try:
            done.outcomes.append(_next(request, world, done, time) or _decide(request, world, done, time))
        except LedgerError as refused:
            done.outcomes.append(refused)
    return done


def known_of(stored: Stored) -> Known:
    """An event of the log as :func:`plan` compares it: without what the ledger stamped on it."""
    assert stored.body is not None
    event = codec.decode(stored.body, stored.position)
    payload = event.data
    if isinstance(payload, RunSpec) and payload.attempt != 1:
        data = codec.encode_data(msgspec.structs.replace(payload, attempt=1))
    else:
        data = codec.data_of(stored.body).decode("ascii")
    return Known(Receipt(stored.position, event.version), event.type, data)


def _next(request: Append, world: World, done: Plan, time: str) -> Accepted | None:
    # The short way, for what most requests are: one event that leaves its run's status as it is. None where
    # anything else is to be looked at; what is decided here, _decide decides alike.
    drafts = request.drafts
    head = world.heads.get(request.run_id)
    if head is None or len(drafts) != 1 or request.create:
        return None
    draft, status = drafts[0], head.status
    if (
        draft.event_id is not None
        or next_status(status, draft.type) != status
        or (request.expected_version is not None and request.expected_version != head.version)
    ):
        return None
    version = head.version + 1
    world.position = position = world.position + 1
    moved = msgspec.structs.replace(head, version=version, last=position, time=max(time, head.time))
    _write(done, moved, draft, head.last)
    world.heads[head.run_id] = done.touched[head.run_id] = moved
    return Accepted(receipts=[Receipt(position, version)], appended=1)


def _write(done: Plan, head: RunHead, draft: Draft, previous: int) -> None:
    # The event that brought its run to this head.
    run_id, version, time, position = head.run_id, head.version, head.time, head.last
    type_name, event_id = draft.type, draft.event_id
    text = codec.stored_form(run_id, version, time, type_name, draft.data, event_id)
    event = codec.event_of(type_name, run_id, version, time, draft.payload, event_id, position)
    done.events.append(Recorded(text.encode("ascii"), event))
    done.rows.append((position, head.number, previous, text))


def _decide(request: Append, world: World, done: Plan, time: str) -> Accepted:
    head = world.heads.get(request.run_id)
    if request.create and head is not None:
        return _create_again(request, head, world)
    receipts, fresh, again = _sift(request, world)
    if fresh and head is not None and head.status in TERMINAL:
        if any(draft.type != head.status for draft in fresh.values()):
            raise RunEnded(request.run_id, head.status)
        receipts.update(dict.fromkeys(fresh, Receipt(head.last, head.version)))
        fresh = {}
    version = 0 if head is None else head.version
    appended = 0
    if fresh or not request.drafts:
        if request.expected_version is not None and request.expected_version != version:
            raise VersionConflict(request.run_id, request.expected_version, version)
        if not fresh and head is None:
            raise RunNotFound(request.run_id)
    if fresh:
        new = _append(request.run_id, list(fresh.values()), head, world, done, time)
        appended = len(set(new))
        receipts.update(zip(fresh, new, strict=True))
    for index, first in again.items():
        receipts[index] = receipts[first]
    return Accepted(receipts=[receipts[index] for index in range(len(request.drafts))], appended=appended)


def _sift(request: Append, world: World) -> tuple[dict[int, Receipt], dict[int, Draft], dict[int, int]]:
    # By index: receipts of what is known already; what is new; and where the request repeats an event_id of
    # its own, the index of the first one, whose receipt it shares.
    receipts: dict[int, Receipt] = {}
    fresh: dict[int, Draft] = {}
    again: dict[int, int] = {}
    seen: dict[str, int] = {}
    for index, draft in enumerate(request.drafts):
        if draft.event_id is None:
            fresh[index] = draft
            continue
        known = world.known.get((request.run_id, draft.event_id))
        first = seen.setdefault(draft.event_id, index)
        if known is not None:
            if not _same(known.type, known.data, draft):
                raise EventIdConflict(request.run_id, draft.event_id)
            receipts[index] = known.receipt
        elif first == index:
            fresh[index] = draft
        elif _same(fresh[first].type, fresh[first].data, draft):
            again[index] = first
        else:
            raise EventIdConflict(request.run_id, draft.event_id)
    return receipts, fresh, again


def _same(type_name: str, data: str, draft: Draft) -> bool:
    # A client may send the keys of an object in another order the second time.
    return type_name == draft.type and (
        data == draft.data or codec.canonical(data) == codec.canonical(draft.data)
    )


def _create_again(request: Append, head: RunHead, world: World) -> Accepted:
    (draft,) = request.drafts
    first = world.firsts.get(request.run_id)
    if first is None:
        raise RunExists(head.run_id, pruned=True)
    if not _same(first.type, first.data, draft):
        raise RunExists(head.run_id)
    return Accepted(receipts=[first.receipt], appended=0)


def _append(
    run_id: str, fresh: list[Draft], before: RunHead | None, world: World, done: Plan, time: str
) -> list[Receipt]:
    # First everything that may refuse, on copies, so that a refusal in the middle leaves no trace.
    head = before
    status = None if before is None else before.status
    ready: list[tuple[Draft, str]] = []
    for draft in fresh:
        if status in TERMINAL:
            if draft.type != status:
                raise RunEnded(run_id, str(status))
            continue
        following = next_status(status, draft.type)
        if following is None:
            if status is None:
                raise RunNotFound(run_id, draft.type)
            raise InvalidTransition(run_id, status, draft.type)
        if isinstance(draft.payload, RunSpec):
            if head is None:
                head, draft = _begin(draft, draft.payload, run_id, world)
            elif msgspec.structs.replace(draft.payload, occurred_at=None) != type(draft.payload)():
                raise InvalidEvent(f"{draft.type!r} takes a spec only as a run's first event.", field="data")
        status = following
        ready.append((draft, status))
    assert head is not None
    time = max(time, head.time)
    receipts: list[Receipt] = []
    for draft, status in ready:
        previous, world.position = head.last, world.position + 1
        head = msgspec.structs.replace(
            head,
            status=status,
            version=head.version + 1,
            first=head.first or world.position,
            last=world.position,
            time=time,
        )
        _write(done, head, draft, previous)
        receipts.append(Receipt(head.last, head.version))
    _accept(head, before, fresh, receipts, world, done)
    # What repeats the terminal event within the request shares its receipt.
    return receipts + receipts[-1:] * (len(fresh) - len(ready))


def _begin(draft: Draft, spec: RunSpec, run_id: str, world: World) -> tuple[RunHead, Draft]:
    # The head before its first event, and that event with what the ledger stamps on it.
    # The id goes into the stored bytes as it stands, whoever made the request.
    check_run_id(run_id)
    if not spec.kind:
        raise InvalidEvent(f"The first event {draft.type!r} of a run must name its kind.", field="data.kind")
    for field, other in (("parent", spec.parent), ("retry_of", spec.retry_of)):
        if other == run_id:
            raise InvalidRun(
                f"{field} names the run {run_id!r} itself; name another run, or none.", field=field
            )
    if spec.slot is not None:
        holder = world.slots.get(spec.slot)
        if holder is not None:
            raise SlotTaken(
                spec.slot,
                SlotHolder(run_id=holder.run_id, kind=holder.kind, status=holder.status, owner=holder.owner),
            )
    if spec.retry_of is not None:
        earlier = world.heads.get(spec.retry_of)
        spec = msgspec.structs.replace(spec, attempt=2 if earlier is None else earlier.attempt + 1)
        draft = msgspec.structs.replace(draft, payload=spec, data=codec.encode_data(spec))
    head = RunHead(
        number=world.number + 1,
        run_id=run_id,
        kind=spec.kind,
        scope=spec.scope,
        title=spec.title,
        parent=spec.parent,
        owner=spec.owner,
        slot=spec.slot,
        lease_seconds=spec.lease_seconds,
        attempt=spec.attempt,
        labels=spec.labels,
        status="",
        version=0,
        first=0,
        last=0,
        time="",
    )
    return head, draft


def _accept(
    head: RunHead,
    before: RunHead | None,
    fresh: list[Draft],
    receipts: list[Receipt],
    world: World,
    done: Plan,
) -> None:
    world.heads[head.run_id] = done.touched[head.run_id] = head
    if before is None:
        world.number = head.number
        done.created.append(head)
        world.firsts[head.run_id] = Known(receipts[0], fresh[0].type, fresh[0].data)
    elif head.status != before.status:
        done.changed.add(head.number)
    if head.slot is not None:
        if head.active:
            world.slots[head.slot] = head
        elif (holder := world.slots.get(head.slot)) is not None and holder.run_id == head.run_id:
            del world.slots[head.slot]
    for draft, receipt in zip(fresh, receipts, strict=False):
        if draft.event_id is not None:
            world.known[head.run_id, draft.event_id] = Known(receipt, draft.type, draft.data)
            done.event_ids.append((head.number, draft.event_id, receipt.position))
