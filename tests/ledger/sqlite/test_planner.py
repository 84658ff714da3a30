"""Planned ahead or inside the transaction, a batch comes out the same, never on what has changed since."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from progress_ledger.ledger.door import Draft, draft_event, draft_run
from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.events import Completed, Paused, Resumed, RunSpec, Ticked
from progress_ledger.ledger.log import Accepted, Append
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.file import connect_writer, transaction
from progress_ledger.ledger.sqlite.plan import write_plan
from progress_ledger.ledger.sqlite.planner import AHEAD, Planned, Planner

pytestmark = pytest.mark.anyio

AT = "2026-11-21T23:34:40.000000Z"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = connect_writer(tmp_path / "log.db", durability="process", busy_timeout=1, now=1.0)
    yield opened
    opened.close()


def _create(run_id: str, slot: str | None = None) -> Append:
    return Append(run_id=run_id, drafts=[draft_run(RunSpec(kind="k", slot=slot))], create=True)


def _append(run_id: str, *drafts: Draft) -> Append:
    return Append(run_id=run_id, drafts=drafts or [draft_event(Ticked(advance=1))])


def _commit(planner: Planner, connection: sqlite3.Connection, *requests: Append) -> tuple[bool, Planned]:
    # Whether it was planned ahead, and what was written.
    turn = planner.begin(requests, AT)
    with transaction(connection):
        planned = planner.inside(connection, requests, AT, turn)
        if planned.plan.rows:
            write_plan(connection, planned.plan, planned.world, position=planned.after)
        planner.done(turn, planned)
        return planned is turn.ahead, planned


def test_what_needs_nothing_looked_up_is_planned_ahead(connection: sqlite3.Connection) -> None:
    planner = Planner()
    assert not _commit(planner, connection, _create("a"), _create("b"))[0]
    assert _commit(planner, connection, _append("a"), _append("b"), _append("a"))[0]
    assert _commit(planner, connection, _append("a"), _append("b"), _append("a"))[0]
    ahead, planned = _commit(planner, connection, _append("a"), _append("b"), _append("a"))
    assert ahead
    assert planned.after == 8
    assert [row[0] for row in planned.plan.rows] == [9, 10, 11]
    assert [event.event.version for event in planned.plan.events] == [6, 4, 7]
    ahead, planned = _commit(planner, connection, _append("a", draft_event(Completed())), _append("a"))
    assert ahead
    assert [type(outcome).__name__ for outcome in planned.plan.outcomes] == ["Accepted", "RunEnded"]


@pytest.mark.parametrize(
    "request_",
    [
        _create("b"),
        _append("elsewhere"),
        _append("a", draft_event(Ticked(done=1), event_id="e")),
        _append("a", *[draft_event(Ticked(advance=1))] * (AHEAD + 1)),
    ],
    ids=["a new run", "a run not met yet", "an event with an id", "a long batch"],
)
def test_what_must_be_looked_up_or_takes_long_is_planned_inside(
    connection: sqlite3.Connection, request_: Append
) -> None:
    planner = Planner()
    _commit(planner, connection, _create("elsewhere"))
    fresh = Planner()
    _commit(fresh, connection, _create("a"))
    assert not _commit(fresh, connection, _append("a"), request_)[0]
    assert _commit(fresh, connection, _append("a"))[0]


def test_a_plan_on_what_has_changed_since_is_made_anew(connection: sqlite3.Connection) -> None:
    one, other = Planner(), Planner()
    _commit(one, connection, _create("r"))
    _commit(other, connection, _append("r"))
    ahead, planned = _commit(one, connection, _append("r"), _append("r"))
    assert not ahead
    assert planned.after == 2
    assert [event.event.version for event in planned.plan.events] == [3, 4]
    _commit(other, connection, _append("r", draft_event(Completed())))
    ahead, planned = _commit(one, connection, _append("r"))
    assert not ahead
    assert isinstance(planned.plan.outcomes[0], LedgerError)


def test_what_failed_on_its_way_is_forgotten(connection: sqlite3.Connection) -> None:
    planner = Planner()
    _commit(planner, connection, _create("r"))
    assert planner.begin([_append("r")], AT).ahead is not None
    ahead, planned = _commit(planner, connection, _append("r"))
    assert not ahead
    assert [event.event.version for event in planned.plan.events] == [2]


def test_a_turn_that_was_overtaken_says_nothing_of_the_log(connection: sqlite3.Connection) -> None:
    planner = Planner()
    _, first = _commit(planner, connection, _create("r"))
    early, late = planner.begin([_append("r")], AT), planner.begin([_append("r")], AT)
    assert late.ahead is None
    planner.done(early, first)
    assert planner.begin([_append("r")], AT).ahead is None


async def test_ahead_or_not_the_log_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(12):
        chance = random.Random(seed)
        async with (
            SQLiteLog.open(tmp_path / f"{seed}-ahead.db", now=1.0) as one,
            SQLiteLog.open(tmp_path / f"{seed}-inside.db", now=1.0) as two,
        ):
            for _ in range(40):
                batch = [_any(chance) for _ in range(chance.randint(1, 12))]
                found = await one.commit(batch, now=2.0)
                with monkeypatch.context() as patch:
                    patch.setattr("progress_ledger.ledger.sqlite.planner.AHEAD", -1)
                    wanted = await two.commit(batch, now=2.0)
                assert repr(found) == repr(wanted)
            assert list(await one.read(0, limit=10_000)) == list(await two.read(0, limit=10_000))


async def test_two_engines_that_plan_ahead_at_one_time_agree_on_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    accepted: list[tuple[int, str, int]] = []
    async with SQLiteLog.open(path, now=1.0) as one, SQLiteLog.open(path, now=1.0) as two:
        await one.commit([_create(f"r{number}") for number in range(4)], now=1.0)

        async def write(log: SQLiteLog, seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(60):
                batch = [_append(f"r{chance.randrange(4)}") for _ in range(chance.randint(1, 5))]
                for request, outcome in zip(batch, (await log.commit(batch, now=2.0)).outcomes, strict=True):
                    assert isinstance(outcome, Accepted)
                    (receipt,) = outcome.receipts
                    accepted.append((receipt.position, request.run_id, receipt.version))

        async with anyio.create_task_group() as tasks:
            for seed in range(3):
                tasks.start_soon(write, one, seed)
                tasks.start_soon(write, two, seed + 10)
        assert sorted(position for position, _, _ in accepted) == list(range(5, len(accepted) + 5))
        for number in range(4):
            versions = [version for _, run_id, version in sorted(accepted) if run_id == f"r{number}"]
            assert versions == list(range(2, len(versions) + 2))


def _any(chance: random.Random) -> Append:
    run_id = f"r{chance.randrange(4)}"
    kind = chance.random()
    if kind < 0.15:
        return _create(run_id, slot=chance.choice([None, "s"]))
    if kind < 0.25:
        return _append(run_id, draft_event(Ticked(done=1), event_id=f"e{chance.randrange(3)}"))
    event = chance.choice([Paused(), Resumed(), Completed(), *[Ticked(advance=1)] * 9])
    expected = chance.choice([None, None, None, chance.randrange(6)])
    drafts = [draft_event(event)] * chance.choice([1, 1, 2])
    return Append(run_id=run_id, drafts=drafts, expected_version=expected)
