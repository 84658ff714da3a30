"""A reader waits, and is woken."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import anyio
import pytest

from progress_ledger.api.streams.direct import Line
from progress_ledger.api.streams.reader import Reader

pytestmark = pytest.mark.anyio


async def _waits(reader: Reader) -> asyncio.Task[None]:
    task = asyncio.create_task(reader.wait())
    with anyio.fail_after(5):
        while not reader.waiting:  # noqa: ASYNC110 - a reader tells nobody that it waits
            await asyncio.sleep(0)
    return task


async def test_a_reader_waits_until_it_is_woken_and_may_be_woken_twice() -> None:
    reader = Reader(alone=True)
    for _ in range(2):
        task = await _waits(reader)
        reader.wake()
        reader.wake()
        assert not reader.waiting
        with anyio.fail_after(5):
            await task


async def test_a_wake_while_nobody_waits_does_nothing() -> None:
    reader = Reader(alone=False)
    reader.wake()
    task = await _waits(reader)
    assert reader.waiting
    reader.leave()
    with anyio.fail_after(5):
        await task
    assert reader.gone


async def test_a_reader_that_is_cancelled_waits_no_more() -> None:
    reader = Reader(alone=True)
    task = await _waits(reader)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not reader.waiting
    reader.wake()


async def test_a_reader_that_waits_may_be_served_at_its_place_and_no_other_may() -> None:
    transport = SimpleNamespace()
    reader = Reader(alone=True)
    reader.place = 7
    task = await _waits(reader)
    assert reader.at != 7
    reader.wake()
    await task
    reader.line = Line(SimpleNamespace(transport=transport, flow=None))
    task = await _waits(reader)
    assert reader.at == 7
    assert reader.transport is transport
    reader.wake()
    assert reader.at != 7
    await task
