"""Is the process alive, may it be asked, and does something that readers must wait for go on."""

from functools import partial

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.errors import LedgerError
from progress_ledger.projections.snapshot import Snapshot

from ..access.rights import access_of
from ..problems import problem
from ..replies import json_reply
from ..service import Service

__all__ = ("GATE", "PATIENCE", "routes")

GATE = "gate"
"""The label, with any value, of a run that readers should know about while it is active."""

PATIENCE = 2.0
"""Seconds to wait for the log before it counts as unreadable."""

_SAYS_NOTHING = frozenset(("", "1", "true", "yes", "on"))


def routes(service: Service) -> list[BaseRoute]:
    """``GET /healthz`` and ``GET /readyz``."""
    return [
        Route("/healthz", partial(_health, service), methods=["GET"], name="health"),
        Route("/readyz", partial(_ready, service), methods=["GET"], name="ready"),
    ]


async def _health(service: Service, request: Request) -> Response:
    access = access_of(request.scope)
    # Fail closed: what a gate is for can be the very reason why the log cannot be read.
    try:
        with anyio.fail_after(PATIENCE):
            await _read(service)
            gates = [state.run_id for state in service.projector.active() if GATE in state.labels]
            found = await service.projector.snapshots(gates)
    except (LedgerError, TimeoutError):
        degraded: dict[str, object] = {"status": "degraded", "gated": True}
        if access.may("reader"):
            degraded |= {"runs": {"active": None, "stalled": None}, "gates": []}
        return json_reply(degraded)
    closed = [run for run in found.values() if run.finished_at is None]
    if not access.may("reader"):
        return json_reply({"status": "ok", "gated": bool(closed)})
    active = [state.run_id for state in service.projector.active() if access.sees(state.kind)]
    gates_seen = [_gate(run) for run in closed if access.sees(run.kind)]
    runs = {"active": len(active), "stalled": len(service.projector.stalled().intersection(active))}
    return json_reply({"status": "ok", "gated": bool(gates_seen), "runs": runs, "gates": gates_seen})


async def _read(service: Service) -> int:
    # Being caught up may be known without looking at the file, so the newest event is read from it as well.
    position = await service.projector.caught_up()
    await service.ledger.log.read(max(0, position - 1), limit=1)
    return position


def _gate(run: Snapshot) -> dict[str, object]:
    label = run.labels[GATE]
    return {
        "run_id": run.run_id,
        "name": run.title or (run.kind if label.lower() in _SAYS_NOTHING else label),
        "status": run.status,
        "percent": run.percent,
        "eta": run.eta_seconds,
        "finish_at": run.finish_at,
        "stalled": run.stalled,
    }


async def _ready(service: Service, request: Request) -> Response:
    if service.drain.begun:
        return problem(503, "unavailable", "The server is stopping.")
    try:
        with anyio.fail_after(PATIENCE):
            position = await _read(service)
    except LedgerError as error:
        return problem(503, error.code, str(error))
    except TimeoutError:
        return problem(
            503, "unavailable", "The views have not caught up with the log yet; ask again in a moment."
        )
    return json_reply({"status": "ready", "position": position})
