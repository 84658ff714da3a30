"""Is the process alive, may it be asked, and does something that readers must wait for go on."""

from functools import partial

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.errors import LedgerError
from progress_ledger.projections.snapshot import Snapshot

from .problems import problem
from .replies import json_reply
from .service import Service

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
    # Fail closed: what a gate is for can be the very reason why the log cannot be read.
    try:
        with anyio.fail_after(PATIENCE):
            gates = [state.run_id for state in service.projector.active() if GATE in state.labels]
            await service.projector.caught_up()
            gates = [state.run_id for state in service.projector.active() if GATE in state.labels]
            found = await service.projector.snapshots(gates)
    except (LedgerError, TimeoutError):
        return json_reply(
            {"status": "degraded", "gated": True, "runs": {"active": None, "stalled": None}, "gates": []}
        )
    open_gates = [_gate(run) for run in found.values() if run.finished_at is None]
    runs = {
        "active": sum(1 for _ in service.projector.active()),
        "stalled": len(service.projector.stalled()),
    }
    return json_reply({"status": "ok", "gated": bool(open_gates), "runs": runs, "gates": open_gates})


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
            position = await service.projector.caught_up()
    except LedgerError as error:
        return problem(503, error.code, str(error))
    except TimeoutError:
        return problem(
            503, "unavailable", "The views have not caught up with the log yet; ask again in a moment."
        )
    return json_reply({"status": "ready", "position": position})
