"""Health tells of gates and never gives a false all-clear."""

from __future__ import annotations

import anyio
import pytest

from progress_ledger.api.routes import health
from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.log import Stored
from tests.api.asking import Api

pytestmark = pytest.mark.anyio


async def test_health_counts_active_and_stalled_runs(asked: Api) -> None:
    await asked.begin("a", stall_seconds=60)
    await asked.begin("b", status="queued")
    asked.clock.now += 61
    reply = await asked.http.get("/healthz")
    assert reply.status_code == 200
    assert reply.json() == {"status": "ok", "gated": False, "runs": {"active": 2, "stalled": 1}, "gates": []}


async def test_a_run_labelled_gate_is_listed_while_it_is_active(asked: Api) -> None:
    await asked.begin("m", kind="migration", labels={"gate": "orders table"}, total=4)
    await asked.begin("n", kind="backfill", labels={"gate": "true"})
    await asked.append("m", {"type": "ticked", "data": {"done": 1}})
    reply = (await asked.http.get("/healthz")).json()
    assert reply["gated"] is True
    gates = {gate["run_id"]: gate for gate in reply["gates"]}
    assert (gates["m"]["name"], gates["m"]["percent"], gates["n"]["name"]) == (
        "orders table",
        25.0,
        "backfill",
    )
    assert "eta" in gates["m"]
    for run_id in ("m", "n"):
        await asked.append(run_id, {"type": "completed"})
    assert (await asked.http.get("/healthz")).json()["gated"] is False


async def test_an_unreadable_log_is_degraded_and_gated(asked: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails() -> int:
        raise Unavailable("The disk is gone.")

    monkeypatch.setattr(asked.projector, "caught_up", fails)
    reply = await asked.http.get("/healthz")
    assert reply.status_code == 200
    assert (reply.json()["status"], reply.json()["gated"]) == ("degraded", True)
    ready = await asked.http.get("/readyz")
    assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")


async def test_a_log_that_is_caught_up_with_and_cannot_be_read_is_degraded_too(
    asked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(after: int, *, limit: int) -> list[Stored]:
        raise Unavailable("The disk is gone.")

    await asked.begin("r")
    monkeypatch.setattr(asked.ledger.log, "read", fails)
    reply = await asked.http.get("/healthz")
    assert (reply.status_code, reply.json()["status"], reply.json()["gated"]) == (200, "degraded", True)
    assert (await asked.http.get("/readyz")).status_code == 503


async def test_a_log_that_does_not_answer_is_degraded_and_gated(
    asked: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.01)
    monkeypatch.setattr(asked.projector, "caught_up", anyio.sleep_forever)
    reply = await asked.http.get("/healthz")
    assert (reply.json()["status"], reply.json()["gated"]) == ("degraded", True)
    assert (await asked.http.get("/readyz")).status_code == 503


async def test_a_server_is_ready_when_caught_up_and_not_while_it_stops(asked: Api) -> None:
    await asked.begin("r")
    reply = await asked.http.get("/readyz")
    assert (reply.status_code, reply.json()) == (200, {"status": "ready", "position": 1})
    asked.drain.begin()
    assert (await asked.http.get("/readyz")).status_code == 503
    assert (await asked.http.get("/healthz")).status_code == 200
