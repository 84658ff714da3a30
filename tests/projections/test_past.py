"""Any earlier moment of a run is folded from the nearest state kept, and is the same as from the start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from progress_ledger.ledger.errors import Pruned, RunNotFound
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import RunHead, Stored
from progress_ledger.projections import Projector, view
from progress_ledger.projections.past import Past, Point, bare_state
from progress_ledger.projections.store import MARK_EVERY, MARKS, StateStore

pytestmark = pytest.mark.anyio

LENGTH = 3 * MARK_EVERY + 100


def test_a_point_lies_before_what_is_beyond_any_of_its_bounds() -> None:
    time = "2026-11-18T11:06:40.000000Z"
    assert not Point().before(9, 9, time)
    assert Point(version=3).before(4, 1, time)
    assert not Point(version=3).before(3, 99, time)
    assert Point(position=3).before(1, 4, time)
    assert Point(time="2026-11-18T11:06:39.999999Z").before(1, 1, time)
    assert not Point(time=time).before(1, 1, time)


class Counting:
    """An engine that counts the events read of a run."""

    def __init__(self, log: object) -> None:
        self._log = log
        self.events = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    async def read_run(self, run_id: str, *, after: int = 0, limit: int) -> list[Stored]:
        page: list[Stored] = await self._log.read_run(run_id, after=after, limit=limit)  # type: ignore[attr-defined]
        self.events += len(page)
        return page


@pytest.fixture
async def long_run(tmp_path: Path) -> AsyncIterator[tuple[Ledger, Projector]]:
    now = 1_795_000_000.0
    async with (
        Ledger.open(tmp_path / "log.db", clock=lambda: now) as ledger,
        Projector.open(ledger) as projector,
    ):
        await ledger.create(RunSpec(kind="k", total=LENGTH), run_id="r")
        for start in range(1, LENGTH, 1_000):
            now += 1.0
            await ledger.append("r", [Ticked(done=done) for done in range(start, min(start + 1_000, LENGTH))])
        await projector._saver.save(projector._states)
        yield ledger, projector


async def test_a_long_run_is_folded_from_the_nearest_mark(long_run: tuple[Ledger, Projector]) -> None:
    ledger, _ = long_run
    log = Counting(ledger.log)
    past = Past(log, StateStore(ledger.log), lambda first: None)  # type: ignore[arg-type]
    for version in (1, MARK_EVERY - 1, MARK_EVERY, MARK_EVERY + 1, 2 * MARK_EVERY + 700, LENGTH):
        log.events = 0
        state = await past.state_at("r", Point(version=version))
        assert (state.version, state.done) == (version, version - 1)
        assert log.events <= version % MARK_EVERY + 1_000
    for point in (Point(position=9_000), Point(time="2026-11-18T11:06:49.000000Z")):
        log.events = 0
        assert (await past.state_at("r", point)).done in (8_999, 9_000)
        assert log.events <= MARK_EVERY


async def test_with_marks_or_without_the_past_is_the_same(long_run: tuple[Ledger, Projector]) -> None:
    ledger, projector = long_run
    points: list[dict[str, Any]] = [
        {"version": MARK_EVERY + 5},
        {"position": 2 * MARK_EVERY},
        {"time": "2026-11-18T11:06:50Z"},
        {},
    ]
    with_marks = [await projector.state_at("r", **point) for point in points]
    await ledger.log.clear_documents(MARKS)
    assert [await projector.state_at("r", **point) for point in points] == with_marks
    assert view(with_marks[-1], 2e9) == await projector.snapshot("r", now=2e9)


async def test_a_state_of_the_past_is_the_callers_own(long_run: tuple[Ledger, Projector]) -> None:
    _, projector = long_run
    state = await projector.state_at("r")
    state.done = 0
    live = projector.peek("r")
    assert live is not None
    assert live.done == LENGTH - 1


async def test_who_never_was_or_had_not_begun_is_not_found(long_run: tuple[Ledger, Projector]) -> None:
    _, projector = long_run
    missing: list[tuple[str, dict[str, Any]]] = [
        ("nobody", {}),
        ("r", {"version": 0}),
        ("r", {"position": 0}),
        ("r", {"time": "2001-01-01T00:00:00Z"}),
    ]
    for run_id, point in missing:
        with pytest.raises(RunNotFound):
            await projector.state_at(run_id, **point)


async def test_a_pruned_run_has_no_past() -> None:
    async with Ledger.open(":memory:") as ledger, Projector.open(ledger) as projector:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        await ledger.append("r", [Completed()])
        head = await ledger.log.run("r")
        assert head is not None
        head.pruned = "archive.ndjson"
        with pytest.raises(Pruned, match=r"archive\.ndjson"):
            await projector.state_at("r", version=1)


def test_a_run_of_which_only_the_head_is_left_still_says_who_it_was() -> None:
    head = RunHead(
        number=1,
        run_id="r",
        kind="k",
        scope="s",
        title="t",
        parent="p",
        owner="o",
        slot="x",
        lease_seconds=None,
        attempt=2,
        labels={"a": "b"},
        status="failed",
        version=9,
        first=3,
        last=77,
        time="2026-11-18T11:06:40.000000Z",
        pruned="",
    )
    seen = view(bare_state(head), 2e9)
    assert (seen.run_id, seen.kind, seen.scope, seen.title, seen.labels) == ("r", "k", "s", "t", {"a": "b"})
    assert (seen.status, seen.version, seen.position, seen.attempt) == ("failed", 9, 77, 2)
    assert (seen.finished_at, seen.updated_at, seen.percent) == (head.time, head.time, None)
