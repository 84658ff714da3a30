"""The events of one run: append some, read them back."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.codec import ascii_json, wire_form
from progress_ledger.ledger.door import Draft, check_run_id
from progress_ledger.ledger.errors import InvalidEvent, Pruned, RunNotFound
from progress_ledger.ledger.events import RunSpec
from progress_ledger.ledger.log import EventLog, RunHead

from ..access.limiting import spend_runs
from ..access.rights import Access, access_of
from ..bodies import decode, read_body
from ..filters import number_of
from ..headers import accepts
from ..replies import json_reply, raw_reply
from ..service import Service
from ..tracing import note
from .intake import EventBatch, drafts_of
from .runs import snapshot_of

__all__ = ("MAX_PAGE_BYTES", "begins", "require_writable", "routes")

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""A page ends early when its events are larger than this; ``next`` says where to go on."""

_LARGEST = 2**63 - 1
_STEP = 250

_batch = msgspec.json.Decoder(EventBatch)


def routes(service: Service) -> list[BaseRoute]:
    """``POST`` and ``GET /v1/runs/{id}/events``."""
    path = "/v1/runs/{run_id}/events"
    return [
        Route(path, partial(_append, service), methods=["POST"], name="append_events"),
        Route(path, partial(_read, service), methods=["GET"], name="read_events"),
    ]


async def _append(service: Service, request: Request) -> Response:
    run_id = check_run_id(request.path_params["run_id"])
    note(request.scope, run_id=run_id)
    batch = decode(await read_body(request), _batch, InvalidEvent)
    drafts = drafts_of(batch.events)
    access = access_of(request.scope)
    await require_writable(service, access, run_id, drafts)
    if begins(drafts):
        spend_runs(request.scope)
    accepted = await service.ledger.append(run_id, drafts, expected_version=batch.expected_version)
    note(request.scope, events=accepted.appended)
    return json_reply(
        {
            "receipts": [{"position": at.position, "version": at.version} for at in accepted.receipts],
            "run": await snapshot_of(service, access, run_id),
        },
        201 if accepted.appended else 200,
    )


async def _read(service: Service, request: Request) -> Response:
    run_id: str = request.path_params["run_id"]
    lines = accepts(request.headers.get("accept", ""), "application/x-ndjson")
    query = request.query_params
    after = number_of(query, "after", default=0, lowest=0, highest=_LARGEST)
    if lines:
        limit = number_of(query, "limit", default=_LARGEST, lowest=1, highest=_LARGEST)
    else:
        limit = number_of(query, "limit", default=500, lowest=1, highest=1_000)
    head = await _head(service, access_of(request.scope), run_id)
    through = min(head.version, after + limit)
    if lines:
        body = _lines(service.ledger.log, run_id, after, through)
        return StreamingResponse(
            body, headers={"Cache-Control": "no-cache"}, media_type="application/x-ndjson"
        )
    parts: list[bytes] = []
    size = 0
    async for part in _events(service.ledger.log, run_id, after, through):
        parts.append(part)
        size += len(part)
        if size > MAX_PAGE_BYTES:
            break
    reached = after + len(parts)
    following = reached if reached < head.version else None
    return raw_reply(b'{"events":[%b],"next":%b}' % (b",".join(parts), ascii_json(following)))


def begins(drafts: Sequence[Draft]) -> bool:
    """Whether these events begin a run, if there is none yet."""
    first = drafts[0].payload if drafts else None
    return isinstance(first, RunSpec) and bool(first.kind)


async def require_writable(service: Service, access: Access, run_id: str, drafts: Sequence[Draft]) -> None:
    """Raises RunNotFound for a run whose kind does not exist for the caller, and Refusal for a new one."""
    if access.kinds is None:
        return
    head = await service.ledger.log.run(run_id)
    if head is not None:
        access.require_kind(head.kind, run_id)
    for draft in drafts:
        if isinstance(draft.payload, RunSpec):
            access.require_own(draft.payload.kind)


async def _head(service: Service, access: Access, run_id: str) -> RunHead:
    head = await service.ledger.log.run(run_id)
    if head is None:
        raise RunNotFound(run_id)
    access.require_kind(head.kind, run_id)
    if head.pruned is not None:
        raise Pruned(run_id, head.pruned or None)
    return head


async def _events(log: EventLog, run_id: str, after: int, through: int) -> AsyncIterator[bytes]:
    while after < through:
        page = await log.read_run(run_id, after=after, limit=min(_STEP, through - after))
        for stored in page:
            assert stored.body is not None
            yield wire_form(stored.position, stored.body)
        if not page:
            return
        after += len(page)


async def _lines(log: EventLog, run_id: str, after: int, through: int) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    async for part in _events(log, run_id, after, through):
        parts.append(part)
        if len(parts) == _STEP:
            yield b"\n".join(parts) + b"\n"
            parts.clear()
    if parts:
        yield b"\n".join(parts) + b"\n"
