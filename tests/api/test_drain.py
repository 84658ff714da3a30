"""The drain begins once and everybody is told."""

from __future__ import annotations

import anyio
import pytest

from progress_ledger.api.drain import Drain

pytestmark = pytest.mark.anyio


async def test_everybody_is_told_once_also_those_who_come_late() -> None:
    drain = Drain()
    told: list[str] = []
    drain.listen(lambda: told.append("early"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drain.wait)
        assert not drain.begun
        drain.begin()
        drain.begin()
    assert drain.begun
    assert told == ["early"]
    drain.listen(lambda: told.append("late"))
    assert told == ["early", "late"]
    with anyio.fail_after(1):
        await drain.wait()
