"""``GET /openapi.json``: OpenAPI 3.1 of every address, its schemas generated from the types that answer.

A test compares the addresses here with the routes of the application, so that neither is without the other.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.events import PAYLOADS, RunSpec
from progress_ledger.projections.snapshot import Change, Snapshot

from ..filters import STATUSES
from .intake import MAX_EVENTS

__all__ = (
    "AppendReply",
    "CancelRequest",
    "EventPage",
    "EventRecord",
    "IngestReply",
    "NewEvent",
    "NewEvents",
    "NewRun",
    "OPERATIONS",
    "Operation",
    "Parameter",
    "ProblemDetail",
    "ReceiptRecord",
    "RefusedLine",
    "RunBatch",
    "RunList",
    "StreamFrame",
    "document",
    "routes",
)


class ProblemDetail(Struct, kw_only=True):
    """A refusal (RFC 9457): ``code`` is stable, ``detail`` one sentence for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class EventRecord(Struct, kw_only=True, omit_defaults=True):
    """One immutable fact about a run. ``data`` depends on ``type``."""

    position: int
    run_id: str
    version: int
    time: str
    type: str
    data: dict[str, Any]
    event_id: str | None = None


class NewRun(RunSpec, kw_only=True):
    """A run spec, and optionally the run's id and the status it begins in."""

    run_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    status: str = "running"


class NewEvent(Struct, kw_only=True, omit_defaults=True):
    """An event to append."""

    type: str
    data: dict[str, Any] = {}
    event_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    occurred_at: str | None = None


class NewEvents(Struct, kw_only=True, omit_defaults=True):
    """Events of one run: all of them are appended, or none."""

    events: Annotated[list[NewEvent], Meta(min_length=1, max_length=MAX_EVENTS)]
    expected_version: Annotated[int, Meta(ge=0)] | None = None


class ReceiptRecord(Struct, kw_only=True):
    """Where an event is."""

    position: int
    version: int


class AppendReply(Struct, kw_only=True):
    """A receipt for each event, and the run after them."""

    receipts: list[ReceiptRecord]
    run: Snapshot


class RefusedLine(Struct, kw_only=True):
    """A line that was not appended, from 1."""

    line: int
    code: str
    detail: str


class IngestReply(Struct, kw_only=True):
    """How many lines were appended or known already, and which were refused."""

    accepted: int
    refused: list[RefusedLine]


class RunList(Struct, kw_only=True):
    """A page of runs; ``counts`` are of the same filters less ``status`` and ``stalled``."""

    runs: list[Snapshot]
    next: str | None
    counts: dict[str, int]


class RunBatch(Struct, kw_only=True):
    """The runs in the order asked for, and the ids there is no run of."""

    runs: list[Snapshot]
    missing: list[str]


class EventPage(Struct, kw_only=True):
    """Some events of a run; ``next`` is the ``after`` to ask with, null at the end."""

    events: list[EventRecord]
    next: int | None


class CancelRequest(Struct, kw_only=True, omit_defaults=True):
    """Why, and who asks."""

    reason: str | None = None
    by: str | None = None


class StreamFrame(Struct, kw_only=True, omit_defaults=True):
    """The data of an event's frame: the event, and what it changed in the snapshot."""

    event: EventRecord
    run: Change
    final: bool = False


class Parameter(NamedTuple):
    """A parameter of the query unless ``where`` says otherwise."""

    name: str
    text: str
    schema: Mapping[str, object] = {"type": "string"}
    where: str = "query"


class Operation(NamedTuple):
    """What one method of one address does. ``answers`` maps a status to a type, a media type, or nothing."""

    summary: str
    answers: Mapping[int, type | str | None]
    parameters: Sequence[Parameter] = ()
    body: type | str | None = None
    problems: Sequence[int] = ()


_INT: Mapping[str, object] = {"type": "integer", "minimum": 0}
_FILTERS = (
    Parameter("kind", "Of this kind; may be repeated."),
    Parameter("scope", "Of this scope."),
    Parameter("label", "Labelled so, as key:value; may be repeated."),
    Parameter("parent", "Children of this run."),
    Parameter("slot", "Holding, or having held, this slot."),
    Parameter("run", "One of these runs; may be repeated."),
    Parameter("q", "With this text in id, kind, scope or title."),
)
_STREAM = (
    Parameter("every", "At most one snapshot a run and interval, as 250ms or 2s."),
    Parameter("fields", "Whole snapshots in each frame.", {"enum": ["full"]}),
    Parameter("last_event_id", "The cursor, where the header cannot be sent."),
    Parameter("Last-Event-ID", "The cursor.", {"type": "string"}, "header"),
)
_EVENTS = "text/event-stream"
_LINES = "application/x-ndjson"
_JSON = dict

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v1/runs"): Operation(
        "Begin a run", {201: Snapshot, 200: Snapshot}, body=NewRun, problems=(400, 403, 409, 413, 415, 422)
    ),
    ("GET", "/v1/runs"): Operation(
        "List runs",
        {200: RunList},
        (
            *_FILTERS,
            Parameter("status", "In this status; may be repeated.", {"enum": sorted(STATUSES)}),
            Parameter("stalled", "Stalled, or not.", {"type": "boolean"}),
            Parameter("sort", "Order of creation.", {"enum": ["-created", "created"]}),
            Parameter("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 500}),
            Parameter("cursor", "The `next` of the page before."),
        ),
        problems=(400,),
    ),
    ("GET", "/v1/runs/current"): Operation(
        "The newest active run", {200: Snapshot, 204: None}, _FILTERS, problems=(400,)
    ),
    ("GET", "/v1/runs/batch"): Operation(
        "Some runs by id", {200: RunBatch}, (Parameter("ids", "1 to 100 ids, as a,b,c."),), problems=(400,)
    ),
    ("GET", "/v1/runs/{run_id}"): Operation(
        "One run, now or as it was",
        {200: Snapshot, 304: None},
        (Parameter("at", "A version (v7), a position (1042) or a time."),),
        problems=(400, 404, 410),
    ),
    ("POST", "/v1/runs/{run_id}/events"): Operation(
        "Append events to a run",
        {201: AppendReply, 200: AppendReply},
        body=NewEvents,
        problems=(400, 403, 404, 409, 413, 415, 422),
    ),
    ("GET", "/v1/runs/{run_id}/events"): Operation(
        "Read a run's events",
        {200: EventPage},
        (
            Parameter("after", "Events with a greater version.", _INT),
            Parameter("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 1000}),
        ),
        problems=(400, 404, 410),
    ),
    ("GET", "/v1/runs/{run_id}/stream"): Operation(
        "Follow a run", {200: _EVENTS, 204: None}, _STREAM, problems=(400, 404, 410)
    ),
    ("GET", "/v1/stream"): Operation(
        "Follow many runs", {200: _EVENTS}, (*_FILTERS, *_STREAM), problems=(400,)
    ),
    ("POST", "/v1/runs/{run_id}/cancel"): Operation(
        "Ask a run to stop", {202: Snapshot}, body=CancelRequest, problems=(400, 403, 404, 409, 415, 422)
    ),
    ("GET", "/v1/runs/{run_id}/eta"): Operation("Why the ETA is what it is", {200: _JSON}, problems=(404,)),
    ("GET", "/v1/kinds"): Operation("The kinds with a history", {200: _JSON}),
    ("GET", "/v1/kinds/{kind}"): Operation(
        "What past runs of a kind were like", {200: _JSON}, problems=(404,)
    ),
    ("POST", "/v1/events"): Operation(
        "Append events of any runs, a line each", {200: IngestReply}, body=_LINES, problems=(403, 415, 503)
    ),
    ("GET", "/v1/log"): Operation("The head of the transparency log", {200: _JSON}),
    ("GET", "/v1/log/checkpoint"): Operation(
        "The newest signed checkpoint", {200: "text/plain"}, problems=(404,)
    ),
    ("GET", "/v1/log/tile/{path}"): Operation(
        "A tile of the tree, or a bundle of entries",
        {200: "application/octet-stream"},
        problems=(400, 404, 410),
    ),
    ("GET", "/v1/log/remaining/{path}"): Operation(
        "What is left of a bundle of entries of which some were pruned",
        {200: "application/octet-stream"},
        problems=(404,),
    ),
    ("GET", "/v1/log/proof/inclusion"): Operation(
        "That an event is in the log",
        {200: _JSON},
        (Parameter("position", "The event's.", _INT),),
        problems=(400, 404),
    ),
    ("GET", "/v1/log/proof/consistency"): Operation(
        "That a smaller log is the beginning of a larger one",
        {200: _JSON},
        (Parameter("from", "The smaller size.", _INT), Parameter("to", "The larger size.", _INT)),
        problems=(400, 404),
    ),
    ("GET", "/v1/log/runs/{run_id}"): Operation(
        "A run's manifest, with its proofs", {200: _JSON}, problems=(404, 410)
    ),
    ("GET", "/healthz"): Operation(
        "Does it live, and what goes on that readers should know of", {200: _JSON}
    ),
    ("GET", "/readyz"): Operation("Are the views caught up", {200: _JSON}, problems=(503,)),
    ("GET", "/metrics"): Operation("Metrics for Prometheus", {200: "text/plain"}),
    ("GET", "/badge.svg"): Operation(
        "A badge",
        {200: "image/svg+xml", 404: "image/svg+xml"},
        (
            Parameter("run", "Of this run."),
            Parameter("kind", "Of the newest run of this kind."),
            Parameter("slot", "Of the run in this slot."),
            Parameter("label", "The words on the left."),
        ),
        problems=(400,),
    ),
}
"""Every address that is for programs."""


def document(*, server: str = "/") -> dict[str, Any]:
    """The whole description. ``server`` is the prefix the addresses stand under."""
    named: list[type] = [StreamFrame, ProblemDetail, *PAYLOADS.values()]
    for operation in OPERATIONS.values():
        told = (operation.body, *operation.answers.values())
        named += [kind for kind in told if isinstance(kind, type) and issubclass(kind, Struct)]
    _, components = msgspec.json.schema_components(named, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "progress-ledger",
            "version": version("progress-ledger"),
            "description": "Progress of long jobs as an immutable event log.",
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


def routes() -> list[BaseRoute]:
    """``GET /openapi.json``."""
    return [Route("/openapi.json", _openapi, methods=["GET"], name="openapi")]


async def _openapi(request: Request) -> Response:
    body = ascii_json(document(server=request.scope.get("root_path") or "/"))
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-cache"})


def _operation(method: str, path: str, operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": f"{method.lower()}{path.replace('/', '_').replace('{', '').replace('}', '')}",
        "summary": operation.summary,
        "responses": {
            **{str(status): _answer(kind) for status, kind in operation.answers.items()},
            **{str(status): _problem(status) for status in operation.problems},
            "default": _problem(None),
        },
    }
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [_parameter(Parameter(name, name, where="path")) for name in names]
    parameters += [_parameter(parameter) for parameter in operation.parameters]
    if parameters:
        told["parameters"] = parameters
    if operation.body is not None:
        told["requestBody"] = {
            "required": operation.body is not CancelRequest,
            "content": _content(operation.body),
        }
    return told


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.text,
        "schema": dict(parameter.schema),
    }


def _answer(kind: type | str | None) -> dict[str, Any]:
    if kind is None:
        return {"description": "Nothing to say."}
    return {"description": "Done.", "content": _content(kind)}


def _problem(status: int | None) -> dict[str, Any]:
    reference = {"schema": {"$ref": "#/components/schemas/ProblemDetail"}}
    told = "Refused." if status is not None else "Refused, or failed."
    return {"description": told, "content": {"application/problem+json": reference}}


def _content(kind: type | str) -> dict[str, Any]:
    if isinstance(kind, str):
        return {kind: {"schema": {"type": "string"}}}
    if not issubclass(kind, Struct):
        return {"application/json": {"schema": {"type": "object"}}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
