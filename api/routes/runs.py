"""One run: begin it, look at it now or as it was, ask it to stop."""

import re
from functools import partial

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from progress_ledger.ledger.door import decode_error, parse_event, parse_spec
from progress_ledger.ledger.errors import InvalidRun, Pruned, RunNotFound
from progress_ledger.ledger.times import format_time, normalise_time
from progress_ledger.projections.snapshot import Snapshot

from ..access.limiting import spend_runs
from ..access.rights import Access, access_of
from ..answers import Answers
from ..bodies import decode, read_body
from ..headers import header_of
from ..problems import Refusal
from ..replies import run_path, snapshot_reply
from ..service import Service
from ..tracing import note

__all__ = ("routes", "snapshot_of")

_object = msgspec.json.Decoder(dict[str, Raw])
_text: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)

_VERSION = re.compile(r"v([0-9]{1,18})")
_POSITION = re.compile(r"[0-9]{1,18}")


def routes(service: Service) -> list[BaseRoute]:
    """``POST /v1/runs``, ``GET /v1/runs/{id}`` and ``POST /v1/runs/{id}/cancel``."""
    return [
        Route("/v1/runs/{run_id}", _Show(service), methods=["GET"], name="show_run"),
        Route("/v1/runs", partial(_create, service), methods=["POST"], name="create_run"),
        Route("/v1/runs/{run_id}/cancel", partial(_cancel, service), methods=["POST"], name="cancel_run"),
    ]


async def snapshot_of(service: Service, access: Access, run_id: str) -> Snapshot:
    """The run as it is now. Raises RunNotFound, also when the caller may not know of it, or Unavailable."""
    snapshot = await service.projector.snapshot(run_id)
    if snapshot is None:
        raise RunNotFound(run_id)
    access.require_kind(snapshot.kind, run_id)
    return snapshot


async def _create(service: Service, request: Request) -> Response:
    fields = decode(await read_body(request), _object, InvalidRun)
    run_id = _taken(fields, "run_id")
    status = _taken(fields, "status") or "running"
    if status not in ("queued", "running"):
        raise InvalidRun(
            f"status {status[:40]!r} is no status to begin with; use queued or running.", field="status"
        )
    spec = parse_spec(msgspec.json.encode(fields))
    access = access_of(request.scope)
    access.require_own(spec.kind)
    spend_runs(request.scope)
    created = await service.ledger.create(spec, run_id=run_id, queued=status == "queued")
    note(request.scope, run_id=created.run_id, events=int(created.appended))
    snapshot = await snapshot_of(service, access, created.run_id)
    return snapshot_reply(
        request,
        service.ledger.epoch,
        snapshot,
        201 if created.appended else 200,
        headers={"Location": run_path(request, created.run_id)},
    )


class _Show:
    # The question asked most, hence bare ASGI: Request and Response would cost as much as all of the rest.
    def __init__(self, service: Service) -> None:
        self._service = service
        self._answers = Answers(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["query_string"]:
            answer = await self._answers.of(scope["path_params"]["run_id"], access_of(scope))
            if answer is not None:
                await answer.send(send, header_of(scope, b"if-none-match"))
                return
        response = await _show(self._service, Request(scope, receive))
        await response(scope, receive, send)


async def _show(service: Service, request: Request) -> Response:
    run_id: str = request.path_params["run_id"]
    at = request.query_params.get("at")
    snapshot = await snapshot_of(service, access_of(request.scope), run_id)
    if snapshot.finished_at is not None:
        head = await service.ledger.log.run(run_id)
        if head is not None and head.pruned is not None:
            raise Pruned(run_id, head.pruned or None)
    if at is not None:
        snapshot = await _as_it_was(service, snapshot, at)
    return snapshot_reply(request, service.ledger.epoch, snapshot)


async def _as_it_was(service: Service, now: Snapshot, at: str) -> Snapshot:
    run_id = now.run_id
    if found := _VERSION.fullmatch(at):
        version = int(found[1])
        if version > now.version:
            raise Refusal(
                404,
                "run_not_found",
                f"Run {run_id!r} has no version {version}; its newest is v{now.version}.",
                run_id=run_id,
            )
        return await service.projector.snapshot_at(run_id, version=version)
    if _POSITION.fullmatch(at):
        return await service.projector.snapshot_at(run_id, position=int(at))
    try:
        # An unescaped + in a query is read as a space; no time has one before its zone.
        time = normalise_time(at.replace(" ", "+"))
    except ValueError:
        raise Refusal(
            400,
            "malformed",
            f"at {at[:60]!r} is not understood; use a version (v7), a position (1042) or an RFC 3339 time.",
            field="at",
        ) from None
    # A moment that has not come yet is now: nobody knows how long the run will be silent.
    newest = max(now.updated_at, format_time(service.ledger.clock()))
    return await service.projector.snapshot_at(run_id, time=min(time, newest))


async def _cancel(service: Service, request: Request) -> Response:
    run_id: str = request.path_params["run_id"]
    access = access_of(request.scope)
    access.require("operator")
    draft = parse_event("cancel_requested", await read_body(request) or b"{}")
    snapshot = await snapshot_of(service, access, run_id)
    # Asked again, an active run has nothing new to record; an ended one refuses either way.
    if not snapshot.cancel_requested or snapshot.finished_at is not None:
        await service.ledger.append(run_id, [draft])
        snapshot = await snapshot_of(service, access, run_id)
    return snapshot_reply(request, service.ledger.epoch, snapshot, 202)


def _taken(fields: dict[str, Raw], name: str) -> str | None:
    raw = fields.pop(name, None)
    if raw is None:
        return None
    try:
        return _text.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise decode_error(error, InvalidRun, name) from None
