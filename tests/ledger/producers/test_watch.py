"""What others do to a run reaches its producer, also from another process."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.ledger import CancelRequested, Ledger
from tests.ledger.producing import run_process, until

pytestmark = pytest.mark.anyio


async def test_a_request_from_another_process_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with Ledger.open(path) as ledger, ledger.run("k", run_id="r") as run:
        import anyio

        code = """
import asyncio
async def ask():
    async with Ledger.open(path) as ledger:
        await ledger.append("r", [CancelRequested(reason="enough")])
asyncio.run(ask())
"""
        await anyio.to_thread.run_sync(run_process, path, code)
        await until(lambda: run.cancel_requested)


async def test_a_request_is_seen_although_the_producer_goes_on_ticking() -> None:
    async with Ledger.open(":memory:") as ledger, ledger.run("k") as run:
        await run.tick()
        await ledger.append(run.run_id, [CancelRequested()])
        for _ in range(5):
            await run.tick()
        await until(lambda: run.cancel_requested)
        assert ledger._watch.busy
    assert not ledger._watch.busy
