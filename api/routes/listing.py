"""Many runs: the list with its counts, the current one of a job, some by their ids."""

from collections.abc import Collection
from functools import partial

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.door import check_run_id
from progress_ledger.ledger.errors import InvalidRun
from progress_ledger.ledger.events import ACTIVE
from progress_ledger.ledger.log import RunFilter
from progress_ledger.projections.snapshot import Snapshot

from ..access.rights import access_of
from ..filters import Listing, listing_of, make_cursor, run_filter
from ..problems import Refusal
from ..replies import json_reply, snapshot_reply
from ..service import Service

__all__ = ("COUNTED", "MAX_IDS", "routes")

COUNTED = ("running", "stalled", "queued", "paused", "completed", "failed", "cancelled", "interrupted")
"""The names under ``counts``, in their order."""

MAX_IDS = 100
"""Most runs of one batch."""


def routes(service: Service) -> list[BaseRoute]:
    """``GET /v1/runs``, ``/v1/runs/current`` and ``/v1/runs/batch``; they go before ``/v1/runs/{id}``."""
    return [
        Route("/v1/runs", partial(_list, service), methods=["GET"], name="list_runs"),
        Route("/v1/runs/current", partial(_current, service), methods=["GET"], name="current_run"),
        Route("/v1/runs/batch", partial(_batch, service), methods=["GET"], name="batch_of_runs"),
    ]


async def _list(service: Service, request: Request) -> Response:
    listing = listing_of(request.query_params)
    listing = listing._replace(where=access_of(request.scope).narrowed(listing.where))
    await service.projector.caught_up()
    stalled = service.projector.stalled()
    runs, after = await _page(service, listing, stalled)
    return json_reply(
        {
            "runs": runs,
            "next": None if after is None else make_cursor(after, listing.order),
            "counts": await _counts(service, listing.where, stalled),
        }
    )


async def _page(
    service: Service, listing: Listing, stalled: Collection[str]
) -> tuple[list[Snapshot], int | None]:
    where = listing.where
    if listing.stalled:
        wanted = frozenset(stalled) if where.run_ids is None else where.run_ids.intersection(stalled)
        where = replace(where, run_ids=wanted)
    runs: list[Snapshot] = []
    after = listing.after
    while True:
        page = await service.ledger.log.runs(
            where, order=listing.order, after=after, limit=listing.limit - len(runs)
        )
        found = await service.projector.snapshots([head.run_id for head in page.runs])
        # A run may have moved on between the two reads; one that no longer fits is left out, and asked-for
        # places that it leaves are filled with the next ones.
        runs += [
            run
            for run in found.values()
            if (where.statuses is None or run.status in where.statuses)
            and listing.stalled in (None, run.stalled)
        ]
        after = page.next
        if after is None or len(runs) == listing.limit:
            return runs, after


async def _counts(service: Service, where: RunFilter, stalled: Collection[str]) -> dict[str, int]:
    where = replace(where, statuses=None)
    by_status = await service.ledger.log.count_runs(where)
    silent = 0
    if stalled:
        heads = await service.ledger.log.runs_by_id(stalled)
        silent = sum(where.matches(head) and head.status == "running" for head in heads.values())
    counts = {name: by_status.get(name, 0) for name in COUNTED}
    counts["running"] -= silent
    counts["stalled"] = silent
    return counts


async def _current(service: Service, request: Request) -> Response:
    query = request.query_params
    if not any(query.get(name) for name in ("kind", "scope", "slot")):
        raise Refusal(400, "malformed", "Say which run is meant: give kind, scope or slot.", field="kind")
    where = access_of(request.scope).narrowed(replace(run_filter(query), statuses=ACTIVE))
    after: int | None = None
    while True:
        page = await service.ledger.log.runs(where, order="-created", after=after, limit=1)
        for head in page.runs:
            snapshot = await service.projector.snapshot(head.run_id)
            # One that ended between the two reads is not current any more; an older one may be.
            if snapshot is not None and snapshot.finished_at is None:
                return snapshot_reply(request, service.ledger.epoch, snapshot)
        after = page.next
        if after is None:
            break
    return Response(status_code=204, headers={"Cache-Control": "no-cache"})


async def _batch(service: Service, request: Request) -> Response:
    ids = list(dict.fromkeys(",".join(request.query_params.getlist("ids")).split(",")))
    if ids == [""] or len(ids) > MAX_IDS:
        told = 0 if ids == [""] else len(ids)
        raise Refusal(
            400, "invalid_ids", f"{told} ids were given; give 1 to {MAX_IDS}, as ids=a,b,c.", field="ids"
        )
    for run_id in ids:
        try:
            check_run_id(run_id, field="ids")
        except InvalidRun as error:
            raise Refusal(400, "invalid_ids", str(error), field="ids") from None
    access = access_of(request.scope)
    found = await service.projector.snapshots(ids)
    found = {run_id: run for run_id, run in found.items() if access.sees(run.kind)}
    return json_reply(
        {
            "runs": [found[run_id] for run_id in ids if run_id in found],
            "missing": [run_id for run_id in ids if run_id not in found],
        }
    )
