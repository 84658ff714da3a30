"""Stored states are held against a fresh fold, wherever in a run they were stored."""

from pathlib import Path

import msgspec
import pytest

from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.projections.audit import check_states
from progress_ledger.projections.projector import Projector
from tests.ledger.histories import ask, fill, ledger_at, tamper

pytestmark = pytest.mark.anyio


async def _file(path: Path) -> Path:
    async with ledger_at(path) as (ledger, _):
        async with Projector.open(ledger):
            await fill(ledger, runs=3, ticks=20, open_runs=1)
        await fill(ledger, prefix="unseen")
    return path


async def test_what_the_projector_kept_is_what_the_events_say(tmp_path: Path) -> None:
    path = await _file(tmp_path / "a.db")
    async with SQLiteLog.open(path, now=0.0, read_only=True) as log:
        assert await check_states(log) == []


async def test_an_edited_state_is_found_and_its_fields_are_named(tmp_path: Path) -> None:
    path = await _file(tmp_path / "a.db")
    ((value,),) = ask(path, "SELECT value FROM document WHERE space = 'run.1' AND key = 'run-1'")
    assert isinstance(value, bytes)
    state = msgspec.msgpack.decode(value)
    state["status"] = "completed"
    edited = msgspec.msgpack.encode(state).hex()
    tamper(
        path,
        f"UPDATE document SET value = x'{edited}' WHERE space = 'run.1' AND key = 'run-1'",
        "UPDATE document SET value = x'00' WHERE space = 'run.1' AND key = 'run-0'",
    )
    async with SQLiteLog.open(path, now=0.0, read_only=True) as log:
        findings = await check_states(log)
    assert [(one.kind, one.run_id) for one in findings] == [
        ("wrong_snapshot", "run-0"),
        ("wrong_snapshot", "run-1"),
    ]
    assert "status" in findings[1].message
