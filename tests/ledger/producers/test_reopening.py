"""A ledger that may not be there is opened when it is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from progress_ledger.ledger import Ledger, RunSpec, Unavailable
from progress_ledger.ledger.producers.reopening import Reopening
from progress_ledger.ledger.producers.sink import Sink

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [Unavailable("away"), OSError("gone"), RuntimeError("odd")])
async def test_it_fails_as_unavailable_and_comes_back(error: Exception) -> None:
    tries: list[int] = []

    @asynccontextmanager
    async def opener() -> AsyncIterator[Sink]:
        tries.append(1)
        if len(tries) == 1:
            raise error
        async with Ledger.open(":memory:") as ledger:
            yield ledger

    async with anyio.create_task_group() as tasks:
        sink = Reopening(opener, answers_may_get_lost=False)
        tasks.start_soon(sink.keep)
        with pytest.raises(Unavailable):
            await sink.create(RunSpec(kind="k"))
        with pytest.raises(Unavailable):
            await sink.look({"r": 0})  # too soon to try again
        assert len(tries) == 1
        assert await patiently(sink)
        sink.close()


async def patiently(sink: Reopening) -> bool:
    """Create a run as soon as that can be."""
    with anyio.fail_after(10):
        while True:
            try:
                return (await sink.create(RunSpec(kind="k"), run_id="r")).appended
            except Unavailable:
                await anyio.sleep(0.05)


async def test_it_is_not_opened_before_it_is_needed() -> None:
    opened: list[int] = []

    @asynccontextmanager
    async def opener() -> AsyncIterator[Sink]:
        opened.append(1)
        async with Ledger.open(":memory:") as ledger:
            yield ledger

    async with anyio.create_task_group() as tasks:
        sink = Reopening(opener, answers_may_get_lost=True)
        tasks.start_soon(sink.keep)
        sink.close()
    assert opened == []


async def test_after_its_close_nobody_waits_for_it() -> None:
    begun, answered = anyio.Event(), anyio.Event()

    @asynccontextmanager
    async def opener() -> AsyncIterator[Sink]:
        begun.set()
        await anyio.sleep_forever()
        async with Ledger.open(":memory:") as ledger:
            yield ledger

    sink = Reopening(opener, answers_may_get_lost=False)

    async def wait() -> None:
        with pytest.raises(Unavailable):
            await sink.look({"r": 0})
        answered.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sink.keep)
            tasks.start_soon(wait)
            await begun.wait()
            sink.close()
            await answered.wait()
            await wait()
            tasks.cancel_scope.cancel()
