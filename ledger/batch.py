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
from typing import NamedTuple

import msgspec

from . import codec
from .door import Draft
from .errors import (
    EventIdConflict,
    InvalidEvent,
    InvalidTransition,
    LedgerError,
    RunEnded,
    RunExists,
    RunNotFound,
    SlotHolder,
    SlotTaken,
    VersionConflict,
)
from .events import TERMINAL, RunSpec, Unknown
from .lifecycle import next_status
from .log import Accepted, Append, Receipt, Recorded, RunHead, Stored

__all__ = ("Known", "Needs", "NewRow", "Plan", "World", "known_of", "needs", "plan")


class Known(NamedTuple):
    """An event already in the log: its receipt, type and stored data."""

    receipt: Receipt
    type: str
    data: str


class NewRow(NamedTuple):
    """An event to be written: ``text`` is its body as str, ``number`` its run's.

    ``previous`` is the position of its run's event before it, 0 for the first.
    """

    recorded: Recorded
    text: str
    number: int
    previous: int


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
    """What to write: rows in order, heads touched, event ids to remember, and each request's outcome."""

    outcomes: list[Accepted | LedgerError]
    rows: list[NewRow]
    created: list[RunHead]
    touched: dict[str, RunHead]
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
            if isinstance(draft.payload, RunSpec):
                if draft.payload.slot is not None:
                    slots.add(draft.payload.slot)
                if draft.payload.retry_of is not None:
                    run_ids.add(draft.payload.retry_of)
    return Needs(run_ids, slots, event_ids, firsts)


def plan(requests: Sequence[Append], world: World, *, time: str) -> Plan:
    """Decide all requests in order. ``time`` is the clock, in the log's own form."""
    done = Plan([], [], [], {}, [])
    for request in requests:
        try:
            done.outcomes.append(_decide(request, world, done, time))
        except LedgerError as refused:
            done.outcomes.append(refused)
    return done


def known_of(stored: Stored) -> Known:
    """An event of the log as :func:`plan` compares it: without what the ledger stamped on it."""
    assert stored.body is not None
    event = codec.decode(stored.body, stored.position)
    payload = event.data
    if isinstance(payload, RunSpec) and payload.attempt != 1:
        payload = msgspec.structs.replace(payload, attempt=1)
    data = "" if isinstance(payload, Unknown) else codec.encode_data(payload)
    return Known(Receipt(stored.position, event.version), event.type, data)


def _decide(request: Append, world: World, done: Plan, time: str) -> Accepted:
    head = world.heads.get(request.run_id)
    if request.create and head is not None:
        return _create_again(request, head, world)
    receipts, fresh = _sift(request, world)
    if fresh and head is not None and head.status in TERMINAL:
        if any(draft.type != head.status for draft in fresh.values()):
            raise RunEnded(request.run_id, head.status)
        receipts.update(dict.fromkeys(fresh, Receipt(head.last, head.version)))
        fresh = {}
    appended = 0
    if fresh:
        version = 0 if head is None else head.version
        if request.expected_version is not None and request.expected_version != version:
            raise VersionConflict(request.run_id, request.expected_version, version)
        new = _append(request.run_id, list(fresh.values()), head, world, done, time)
        appended = len(set(new))
        receipts.update(zip(fresh, new, strict=True))
    for index, draft in enumerate(request.drafts):
        if index not in receipts:
            assert draft.event_id is not None
            receipts[index] = world.known[request.run_id, draft.event_id].receipt
    return Accepted(receipts=[receipts[index] for index in range(len(request.drafts))], appended=appended)


def _sift(request: Append, world: World) -> tuple[dict[int, Receipt], dict[int, Draft]]:
    # By index: receipts of what is known already, and what is new. An event_id that stands twice in the
    # request is in neither the second time; it shares the first one's receipt.
    receipts: dict[int, Receipt] = {}
    fresh: dict[int, Draft] = {}
    seen: dict[str, Draft] = {}
    for index, draft in enumerate(request.drafts):
        if draft.event_id is None:
            fresh[index] = draft
            continue
        known = world.known.get((request.run_id, draft.event_id))
        if known is not None:
            if (known.type, known.data) != (draft.type, draft.data):
                raise EventIdConflict(request.run_id, draft.event_id)
            receipts[index] = known.receipt
        elif draft.event_id not in seen:
            fresh[index] = seen[draft.event_id] = draft
        elif (seen[draft.event_id].type, seen[draft.event_id].data) != (draft.type, draft.data):
            raise EventIdConflict(request.run_id, draft.event_id)
    return receipts, fresh


def _create_again(request: Append, head: RunHead, world: World) -> Accepted:
    (draft,) = request.drafts
    first = world.firsts.get(request.run_id)
    if first is None or (first.type, first.data) != (draft.type, draft.data):
        raise RunExists(head.run_id)
    return Accepted(receipts=[first.receipt], appended=0)


def _append(
    run_id: str, fresh: list[Draft], before: RunHead | None, world: World, done: Plan, time: str
) -> list[Receipt]:
    # Everything is worked out on copies first, so that a refusal in the middle leaves no trace.
    if before is None:
        head = None
        status, version, last, number = None, 0, 0, world.number + 1
    else:
        head = before
        status, version, last, number = before.status, before.version, before.last, before.number
        time = max(time, before.time)
    position = world.position
    rows: list[NewRow] = []
    receipts: list[Receipt] = []
    for draft in fresh:
        if status in TERMINAL:
            if draft.type != status:
                raise RunEnded(run_id, str(status))
            receipts.append(receipts[-1])
            continue
        following = next_status(status, draft.type)
        if following is None:
            if status is None:
                raise RunNotFound(run_id, draft.type)
            raise InvalidTransition(run_id, status, draft.type)
        payload, data = draft.payload, draft.data
        if isinstance(payload, RunSpec):
            if head is None:
                head, payload, data = _begin(draft, payload, run_id, number, world)
            elif data != "{}":
                raise InvalidEvent(f"{draft.type!r} takes a spec only as a run's first event.", field="data")
        status = following
        version += 1
        position += 1
        body = codec.stored_form(
            run_id=run_id, version=version, time=time, type_name=draft.type, data=data, event_id=draft.event_id
        )
        event = codec.event_of(
            draft.type,
            run_id=run_id,
            version=version,
            time=time,
            data=payload,
            event_id=draft.event_id,
            position=position,
        )
        rows.append(NewRow(Recorded(body.encode("ascii"), event), body, number, last))
        receipts.append(Receipt(position, version))
        last = position
    assert head is not None
    assert status is not None
    first = head.first or receipts[0].position
    after = msgspec.structs.replace(head, status=status, version=version, first=first, last=last, time=time)
    _accept(after, rows, fresh, created=before is None, world=world, done=done)
    return receipts


def _begin(
    draft: Draft, spec: RunSpec, run_id: str, number: int, world: World
) -> tuple[RunHead, RunSpec, str]:
    if not spec.kind:
        raise InvalidEvent(f"The first event {draft.type!r} of a run must name its kind.", field="data.kind")
    if spec.slot is not None:
        holder = world.slots.get(spec.slot)
        if holder is not None:
            raise SlotTaken(
                spec.slot,
                SlotHolder(run_id=holder.run_id, kind=holder.kind, status=holder.status, owner=holder.owner),
            )
    data = draft.data
    if spec.retry_of is not None:
        earlier = world.heads.get(spec.retry_of)
        spec = msgspec.structs.replace(spec, attempt=2 if earlier is None else earlier.attempt + 1)
        data = codec.encode_data(spec)
    head = RunHead(
        number=number,
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
    return head, spec, data


def _accept(
    head: RunHead, rows: list[NewRow], fresh: list[Draft], *, created: bool, world: World, done: Plan
) -> None:
    world.heads[head.run_id] = head
    world.position = head.last
    if created:
        world.number = head.number
        done.created.append(head)
        world.firsts[head.run_id] = Known(Receipt(head.first, 1), fresh[0].type, fresh[0].data)
    if head.slot is not None:
        if head.active:
            world.slots[head.slot] = head
        elif (holder := world.slots.get(head.slot)) is not None and holder.run_id == head.run_id:
            del world.slots[head.slot]
    done.touched[head.run_id] = head
    done.rows.extend(rows)
    for row, draft in zip(rows, fresh, strict=False):
        if draft.event_id is not None:
            event = row.recorded.event
            receipt = Receipt(event.position, event.version)
            world.known[head.run_id, draft.event_id] = Known(receipt, draft.type, draft.data)
            done.event_ids.append((head.number, draft.event_id, event.position))
