"""What the ledger has learnt of a kind of job, and why a run's ETA is what it is."""

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.errors import RunNotFound
from progress_ledger.ledger.log import RunFilter
from progress_ledger.ledger.times import format_time
from progress_ledger.projections.curve import Said
from progress_ledger.projections.estimate import Estimate
from progress_ledger.projections.history import AUDITED, KindHistory, RunSummary
from progress_ledger.projections.outlook import remaining
from progress_ledger.projections.snapshot import Snapshot
from progress_ledger.projections.state import RunState, active_seconds
from progress_ledger.projections.view import view

from ..access.rights import access_of
from ..problems import Refusal
from ..replies import json_reply
from ..service import Service

__all__ = ("described", "explained", "routes", "sentences")


def routes(service: Service) -> list[BaseRoute]:
    """``GET /v1/kinds``, ``GET /v1/kinds/{kind}`` and ``GET /v1/runs/{id}/eta``."""
    return [
        Route("/v1/kinds", partial(_kinds, service), methods=["GET"], name="list_kinds"),
        Route("/v1/kinds/{kind:path}", partial(_kind, service), methods=["GET"], name="show_kind"),
        Route("/v1/runs/{run_id}/eta", partial(_eta, service), methods=["GET"], name="explain_eta"),
    ]


def described(history: KindHistory, *, runs: bool = True) -> dict[str, Any]:
    """What is known of a kind: how its runs ended, how long a typical one takes, how good its ETAs were.

    ``typical_seconds`` is for a run as large as the newest one, ``typical_total``; with ``runs`` also the
    kept runs, newest first, each with what was predicted at 10, 25, 50 and 75 % beside what was true.
    """
    prior = history.prior()
    accuracy = history.accuracy()
    found: dict[str, Any] = {
        "kind": history.kind,
        "ended": dict(history.outcomes),
        "typical_seconds": None if prior is None else round(prior.seconds, 3),
        "typical_total": None,
        "stages": [],
        "accuracy": {
            "runs": accuracy.runs,
            "predictions": accuracy.predictions,
            "within_20_percent": None if accuracy.within is None else round(accuracy.within, 4),
            "mean_error": None if accuracy.error is None else round(accuracy.error, 4),
        },
    }
    if prior is not None:
        if len(prior.stages) == 1:
            found["typical_total"] = prior.stages[0].total or None
        elif prior.seconds > 0.0:
            found["stages"] = [
                {
                    "name": stage.name,
                    "seconds": round(stage.seconds, 3),
                    "weight": round(stage.seconds / prior.seconds, 6),
                    "total": stage.total or None,
                }
                for stage in prior.stages
            ]
    if runs:
        found["runs"] = [_run(run) for run in reversed(history.last)]
    return found


def explained(state: RunState, history: KindHistory | None, now: float) -> dict[str, Any]:
    """A run's ETA at ``now`` with the numbers and the sentences behind it."""
    snapshot = view(state, now)
    found = remaining(state, active_seconds(state, format_time(now)), explain=True)
    return {
        "run_id": snapshot.run_id,
        "kind": snapshot.kind,
        "status": snapshot.status,
        "percent": snapshot.percent,
        "eta_seconds": snapshot.eta_seconds,
        "eta_low": snapshot.eta_low,
        "eta_high": snapshot.eta_high,
        "eta_basis": snapshot.eta_basis,
        "finish_at": snapshot.finish_at,
        "why": {name: round(value, 6) for name, value in found.why.items()},
        "because": sentences(snapshot, found, history),
        "predictions": [_said(said, None) for said in state.course.said if said.share in AUDITED],
        "history": None if history is None else described(history, runs=False),
    }


def sentences(snapshot: Snapshot, found: Estimate, history: KindHistory | None) -> list[str]:
    """Why the ETA is what it is, a sentence a reason."""
    told: list[str] = []
    why = found.why
    basis = snapshot.eta_basis or ""
    if snapshot.finished_at is not None:
        told.append(f"The run has ended ({snapshot.status}), so nothing is left.")
    elif snapshot.status == "queued":
        told.append("The run has not started.")
    elif snapshot.eta_seconds is None:
        told.append(
            "There is no ground for a number yet: no work is done, or nobody knows how much there is."
        )
    elif snapshot.eta_seconds == 0:
        told.append("All that was announced is done.")
    elif basis.startswith("history"):
        runs = int(basis.partition(":")[2])
        whole, left = _time(why.get("typical_seconds")), _time(why.get("typical_left"))
        told.append(
            f"It rests on the last {runs} completed {'run' if runs == 1 else 'runs'} of this kind: one of "
            f"this size takes {whole}, and from here {left}."
        )
        if "pace" in why:
            pace, trust = why["pace"], why["trust_in_this_run"]
            speed = "as fast as" if 0.95 < pace < 1.05 else "slower than" if pace > 1 else "faster than"
            told.append(
                f"This run goes {speed} those (×{pace:.2f} of their time), which counts {trust:.0%}, "
                f"as {why['share_of_time']:.0%} of its time is gone."
            )
        else:
            told.append("This run is too young to be compared with them.")
        if snapshot.eta_low is None:
            told.append("There is no band: too few runs of the kind were predicted from history.")
        else:
            told.append("The band is as wide as nine in ten past errors for this kind.")
    else:
        told.append("No run of this kind has completed before, so this run's own pace is all there is.")
        if basis == "declared":
            told.append("Its stages count as the producer declared.")
    accuracy = None if history is None else history.accuracy()
    if accuracy is not None and accuracy.within is not None:
        told.append(
            f"ETAs for this kind were within 20 % of the truth {accuracy.within:.0%} of the time "
            f"(last {accuracy.runs} {'run' if accuracy.runs == 1 else 'runs'})."
        )
    return told


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "an unknown time"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _run(run: RunSummary) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "finished_at": run.finished_at,
        "seconds": round(run.seconds, 3),
        "total": run.stages[0].total or None if len(run.stages) == 1 else None,
        "unit": run.unit,
        "predictions": [_said(said, run.seconds - said.at) for said in run.said if said.share in AUDITED],
    }


def _said(said: Said, actual: float | None) -> dict[str, Any]:
    return {
        "at_percent": round(100.0 * said.share),
        "eta_seconds": round(said.seconds, 3),
        "eta_low": None if said.low is None else round(said.low, 3),
        "eta_high": None if said.high is None else round(said.high, 3),
        "eta_basis": f"history:{said.runs}" if said.runs else "mean",
        "actual_seconds": None if actual is None else round(actual, 3),
    }


async def _kinds(service: Service, request: Request) -> Response:
    access = access_of(request.scope)
    access.require("reader")
    await service.projector.caught_up()
    histories = service.projector.histories
    found = [histories.get(kind) for kind in sorted(histories.kinds()) if access.sees(kind)]
    return json_reply({"kinds": [described(history, runs=False) for history in found if history is not None]})


async def _kind(service: Service, request: Request) -> Response:
    kind: str = request.path_params["kind"]
    access = access_of(request.scope)
    access.require("reader")
    await service.projector.caught_up()
    counts = await service.ledger.log.count_runs(RunFilter(kind=kind)) if access.sees(kind) else {}
    history = service.projector.histories.get(kind) if access.sees(kind) else None
    if history is None and not any(counts.values()):
        raise Refusal(404, "kind_not_found", f"There is no run of kind {kind[:128]!r}.", kind=kind)
    return json_reply({**described(history or KindHistory(kind)), "counts": counts})


async def _eta(service: Service, request: Request) -> Response:
    run_id: str = request.path_params["run_id"]
    access = access_of(request.scope)
    access.require("reader")
    state = await service.projector.state(run_id)
    if state is None:
        raise RunNotFound(run_id)
    access.require_kind(state.kind, run_id)
    history = service.projector.histories.get(state.kind)
    return json_reply(explained(state, history, service.ledger.clock()))
