"""Plans are made on what the log holds, whoever wrote last and whatever failed before."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from progress_ledger.ledger.door import Draft, draft_event, draft_run
from progress_ledger.ledger.errors import RunEnded
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.log import Accepted, Append
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.file import connect_writer, transaction
from progress_ledger.ledger.sqlite.plan import write_plan
from progress_ledger.ledger.sqlite.planner import Planned, Planner

pytestmark = pytest.mark.anyio

AT = "2026-11-21T23:34:40.000000Z"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = connect_writer(tmp_path / "log.db", durability="process", busy_timeout=1, now=1.0)
    yield opened
    opened.close()


def _create(run_id: str) -> Append:
    return Append(run_id=run_id, drafts=[draft_run(RunSpec(kind="k"))], create=True)


def _append(run_id: str, *drafts: Draft) -> Append:
    return Append(run_id=run_id, drafts=drafts or [draft_event(Ticked(advance=1))])


def _commit(planner: Planner, connection: sqlite3.Connection, *requests: Append) -> Planned:
    with transaction(connection):
        planned = planner.plan(connection, requests, AT)
        if planned.plan.rows:
            write_plan(connection, planned.plan, planned.world, position=planned.after)
    planner.committed(planned)
    return planned


def _versions(planned: Planned) -> list[int]:
    return [recorded.event.version for recorded in planned.plan.events]


def test_heads_are_read_once_while_nobody_else_writes(connection: sqlite3.Connection) -> None:
    planner = Planner()
    _commit(planner, connection, _create("r"))
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    for version in (2, 3, 4):
        assert _versions(_commit(planner, connection, _append("r"))) == [version]
    assert not [sql for sql in asked if "FROM run " in sql]


def test_what_others_wrote_is_read_again(connection: sqlite3.Connection) -> None:
    one, other = Planner(), Planner()
    _commit(one, connection, _create("r"))
    _commit(other, connection, _append("r"))
    planned = _commit(one, connection, _append("r"), _append("r"))
    assert planned.after == 2
    assert _versions(planned) == [3, 4]
    _commit(other, connection, _append("r", draft_event(Completed())))
    assert isinstance(_commit(one, connection, _append("r")).plan.outcomes[0], RunEnded)


def test_a_plan_that_came_to_nothing_is_forgotten(connection: sqlite3.Connection) -> None:
    planner = Planner()
    _commit(planner, connection, _create("r"))
    with transaction(connection):
        assert _versions(planner.plan(connection, [_append("r"), _create("s")], AT)) == [2, 1]
    assert _versions(_commit(planner, connection, _append("r"), _create("s"))) == [2, 1]


async def test_two_engines_that_write_at_one_time_agree_on_one_log(tmp_path: Path) -> None:
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
