"""States beside the log come back as they were, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from progress_ledger.ledger.events import Completed, Paused, Stage, StageChanged, Ticked
from progress_ledger.ledger.ledger import open_log
from progress_ledger.ledger.log import Document, EventLog
from progress_ledger.projections import RunState
from progress_ledger.projections.store import SPACE, StateStore, mark_of
from tests.projections.stories import Story, started

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["file", "memory"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    async with open_log(tmp_path / "log.db" if request.param == "file" else ":memory:") as opened:
        yield opened


def story() -> Story:
    return started(Stage(name="a", weight=2.5, total=3), labels={"x": "y"}).add(
        1.25, StageChanged(stage="a"), Ticked(done=2, counts={"ok": 2}), Paused()
    )


async def test_states_come_back_as_they_were(log: EventLog) -> None:
    store = StateStore(log)
    state = story().state()
    await store.save([state])
    assert await store.load(["nobody", "r"]) == {"r": state}
    assert await store.checkpoint() == 0


@pytest.mark.parametrize("result", [10**40, -(10**40), {"n": [2**64, 1.5, None, "é\u2028"]}, "{", 0])
async def test_a_result_with_numbers_of_any_size_comes_back(log: EventLog, result: object) -> None:
    store = StateStore(log)
    state = story().add(2, Completed(result=result)).state()
    await store.save([state])
    assert (await store.load(["r"]))["r"].result == result


async def test_the_checkpoint_moves_only_forward_and_only_when_told(log: EventLog) -> None:
    store = StateStore(log)
    await store.save([], checkpoint=7)
    await store.save([story().state()])
    await store.save([], checkpoint=5)
    assert await store.checkpoint() == 7


@pytest.mark.parametrize("gently", [False, True])
async def test_many_states_are_saved_in_chunks_and_all_of_them(log: EventLog, gently: bool) -> None:
    store = StateStore(log)
    states = [RunState(run_id=f"r{number}", position=number) for number in range(1_201)]
    await store.save(states, checkpoint=1_200, gently=gently)
    assert len(await store.load([state.run_id for state in states])) == 1_201


async def test_an_older_state_does_not_take_the_place_of_a_newer(log: EventLog) -> None:
    store = StateStore(log)
    told = story()
    old, new = told.state(), told.add(9, Completed()).state()
    await store.save([new])
    await store.save([old])
    assert (await store.load(["r"]))["r"].status == "completed"


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b"\xc1", b"\x81", b'{"run_id":1}', b'{"run_id":"other"}', b'{"run_id":"\xff"}'],
)
async def test_what_is_no_state_of_the_run_is_left_out(log: EventLog, value: bytes) -> None:
    await log.save_documents(SPACE, [Document("r", 1, value)])
    assert await StateStore(log).load(["r"]) == {}


async def test_a_mark_is_found_by_run_and_version_and_stays_as_it_was(log: EventLog) -> None:
    store = StateStore(log)
    told = story()
    state = told.state()
    await store.save_marks([mark_of(state)])
    later = told.add(3, Completed()).state()
    await store.save_marks([mark_of(later)])
    assert await store.mark("r", state.version) == state
    assert await store.mark("r", later.version) == later
    assert await store.mark("r", 1) is None
    assert await store.mark("r 4", 4) is None


async def test_clear_forgets_states_marks_and_the_checkpoint(log: EventLog) -> None:
    store = StateStore(log)
    state = story().state()
    await store.save([state], checkpoint=4)
    await store.save_marks([mark_of(state)])
    await store.clear()
    assert (await store.load(["r"]), await store.mark("r", 4), await store.checkpoint()) == ({}, None, 0)
