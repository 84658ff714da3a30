"""Futures of both kinds advance a run."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pytest

from progress_ledger.ledger import Ledger, open_run
from progress_ledger.ledger.adapters.futures import counted
from progress_ledger.ledger.producers.background import stop_all
from tests.ledger.producers.test_open_run import events
from tests.ledger.producing import advanced, events_of


def half(number: int) -> float:
    return 1 / (number % 3)


def test_futures_of_threads_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    with open_run("k", ledger=tmp_path / "p.db", run_id="r") as run, ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(half, number) for number in range(9)]
        assert len(list(as_completed(counted(futures, run)))) == 9
    stop_all()
    counts: dict[str, int] = {}
    for event in events(tmp_path / "p.db", "r"):
        for name, value in event["data"].get("counts", {}).items():
            counts[name] = counts.get(name, 0) + value
    assert counts == {"passed": 6, "failed": 3}


@pytest.mark.anyio
async def test_tasks_are_counted_too() -> None:
    async def job() -> None:
        await asyncio.sleep(0)

    async with Ledger.open(":memory:") as ledger, ledger.run("k") as run:
        await asyncio.gather(*counted([asyncio.ensure_future(job()) for _ in range(5)], run))
        await run.tick(0)
        events = await events_of(ledger, run.run_id)
    assert advanced(events) == 5
    assert sum(event["data"].get("counts", {}).get("passed", 0) for event in events) == 5
