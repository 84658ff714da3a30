"""What Prometheus scrapes is well formed, bounded, and true."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from progress_ledger.api.routes.metrics import KINDS_NAMED
from tests.api.asking import Api

pytestmark = pytest.mark.anyio


async def scrape(asked: Api) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    reply = await asked.http.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


async def test_runs_and_commits_are_counted(asked: Api) -> None:
    await asked.begin("a", kind="qa")
    await asked.begin("b", kind="qa", stall_seconds=5)
    await asked.append("a", {"type": "completed"})
    asked.clock.now += 6
    found = await scrape(asked)
    assert found["progress_ledger_events_appended_total", ()] == 3
    assert found["progress_ledger_head_position", ()] == 3
    assert found["progress_ledger_projection_lag_events", ()] == 0
    assert found["progress_ledger_runs_active", (("kind", "qa"), ("status", "stalled"))] == 1
    assert found["progress_ledger_runs", (("status", "completed"),)] == 1
    assert found["progress_ledger_commit_events_sum", ()] == 3


async def test_label_sets_are_bounded_however_many_kinds_there_are(asked: Api) -> None:
    for number in range(KINDS_NAMED + 5):
        await asked.begin(f"r{number}", kind=f"kind-{number}")
    found = await scrape(asked)
    kinds = {dict(labels)["kind"] for name, labels in found if name == "progress_ledger_runs_active"}
    assert len(kinds) == KINDS_NAMED + 1
    assert found["progress_ledger_runs_active", (("kind", "other"), ("status", "running"))] == 5
