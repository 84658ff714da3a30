"""Commands run in an event loop, and fail as what failed."""

from __future__ import annotations

import asyncio
import sys

import anyio
import pytest

from progress_ledger.api.commands.loop import run_loop


def test_it_runs_on_uvloop_where_there_is_one() -> None:
    async def which(word: str, *, more: str) -> str:
        return word + more + type(asyncio.get_running_loop()).__module__.partition(".")[0]

    assert run_loop(which, "a", more="-") == ("a-asyncio" if sys.platform == "win32" else "a-uvloop")


def test_an_error_out_of_tasks_is_raised_as_itself() -> None:
    async def fail() -> None:
        async with anyio.create_task_group() as outer, anyio.create_task_group():
            outer.start_soon(anyio.sleep_forever)
            raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        run_loop(fail)
