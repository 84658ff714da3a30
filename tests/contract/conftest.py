"""Every engine the contract is held against: one fixture, one line per engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from progress_ledger.ledger.log import EventLog
from progress_ledger.ledger.memory import MemoryLog
from progress_ledger.ledger.sqlite import SQLiteLog

Open = Callable[[Path], AbstractAsyncContextManager[EventLog]]


@asynccontextmanager
async def _memory(folder: Path) -> AsyncIterator[EventLog]:
    log = MemoryLog()
    yield log
    await log.close()


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[EventLog]:
    async with SQLiteLog.open(folder / "log.db", now=1.0) as log:
        yield log


ENGINES: dict[str, Open] = {"memory": _memory, "sqlite": _sqlite}
LASTING: dict[str, Open] = {"sqlite": _sqlite}
"""Engines whose log outlives the engine and may be opened by several at a time."""


@pytest.fixture(params=sorted(ENGINES))
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    """An empty log of each engine."""
    async with ENGINES[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture(params=sorted(LASTING))
def lasting(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], AbstractAsyncContextManager[EventLog]]:
    """Opens one and the same log, again and again, of each engine that keeps it."""
    return lambda: LASTING[request.param](tmp_path)
