"""Runs by status: the same numbers as counting them all, from few of them, whoever writes the file."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from progress_ledger.ledger.door import draft_event, draft_run
from progress_ledger.ledger.events import (
    TERMINAL,
    Cancelled,
    Completed,
    Failed,
    Paused,
    Resumed,
    RunSpec,
    Started,
)
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Append, RunFilter
from progress_ledger.ledger.sqlite.counts import FILTERS_KEPT, Counts
from progress_ledger.ledger.sqlite.file import connect_reader
from progress_ledger.ledger.sqlite.runs import select_runs, teach

pytestmark = pytest.mark.anyio

FILTERS = [
    RunFilter(),
    RunFilter(kind="a"),
    RunFilter(kind="nobody's"),
    RunFilter(kinds=frozenset({"a", "b"})),
    RunFilter(kind_pattern="?"),
    RunFilter(scope="s"),
    RunFilter(parent="r0"),
    RunFilter(labels=(("even", "yes"),)),
    RunFilter(labels=(("even", "yes"), ("third", "yes"))),
    RunFilter(run_ids=frozenset({"r1", "r5", "r9"})),
    RunFilter(q="RUN 1"),
    RunFilter(statuses=frozenset({"running", "failed"})),
    RunFilter(kind="a", statuses=TERMINAL),
]


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    async with Ledger.open(path):
        return path


@pytest.fixture
async def connection(path: Path) -> sqlite3.Connection:
    connection = connect_reader(path, busy_timeout=1)
    teach(connection)
    return connection


@pytest.fixture(autouse=True)
def closed(connection: sqlite3.Connection) -> Iterator[None]:
    yield
    connection.close()


async def test_the_numbers_are_those_of_a_whole_count_whatever_happens_in_between(
    path: Path, connection: sqlite3.Connection
) -> None:
    chance = random.Random(7)
    counts = Counts()
    begun = 0
    async with (
        Ledger.open(path, sweep=False, durability="process") as one,
        Ledger.open(path, sweep=False, durability="process") as other,
    ):
        for _ in range(120):
            requests: list[Append] = []
            for _ in range(chance.randrange(4)):
                spec = RunSpec(
                    kind=chance.choice(["a", "b", "long"]),
                    title=f"Run {begun}",
                    scope=chance.choice([None, "s"]),
                    parent=chance.choice([None, "r0"]) if begun else None,
                    labels={name: "yes" for name, each in (("even", 2), ("third", 3)) if begun % each == 0},
                )
                queued = chance.random() < 0.3
                requests.append(Append(run_id=f"r{begun}", drafts=[draft_run(spec, queued=queued)]))
                begun += 1
            for _ in range(chance.randrange(4) if begun else 0):
                # Many of these are refused, by the rules of what may follow what.
                payload = chance.choice(
                    [Started(kind="a"), Paused(), Resumed(), Completed(), Failed(error="x"), Cancelled()]
                )
                run_id = f"r{chance.randrange(begun)}"
                requests.append(Append(run_id=run_id, drafts=[draft_event(payload)]))
            if requests:
                await chance.choice([one, other]).append_many(requests)
            for where in chance.sample(FILTERS, 5):
                assert counts.of(connection, where) == _all_counted(connection, where), where
        for where in FILTERS:
            assert counts.of(connection, where) == _all_counted(connection, where), where
            assert await one.log.count_runs(where) == await other.log.count_runs(where)
    assert TERMINAL & counts.of(connection, RunFilter()).keys()


@pytest.mark.parametrize(
    "where",
    [
        RunFilter(),
        RunFilter(kind="a"),
        RunFilter(kind_pattern="*"),
        RunFilter(labels=(("all", "yes"),)),
        RunFilter(q="a"),
    ],
    ids=repr,
)
async def test_what_ended_is_not_looked_at_again(
    path: Path, connection: sqlite3.Connection, where: RunFilter
) -> None:
    async with Ledger.open(path, sweep=False, durability="process") as ledger:
        begin, end = draft_run(RunSpec(kind="a", labels={"all": "yes"})), draft_event(Completed())
        await ledger.append_many([Append(run_id=f"r{n}", drafts=[begin, end]) for n in range(3_000)])
        await ledger.append_many([Append(run_id=f"going{n}", drafts=[begin]) for n in range(10)])
        counts = Counts()
        steps = Counter[str]()

        def count(when: str) -> dict[str, int]:
            connection.set_progress_handler(lambda: steps.update([when]), 1)
            try:
                return counts.of(connection, where)
            finally:
                connection.set_progress_handler(None, 0)

        assert count("first") == {"completed": 3_000, "running": 10}
        await ledger.append_many(
            [Append(run_id="going3", drafts=[end]), Append(run_id="new", drafts=[begin])]
        )
        assert count("then") == {"completed": 3_001, "running": 10}
    assert steps["then"] < steps["first"] / 10


async def test_a_log_that_was_cut_is_counted_afresh(path: Path, connection: sqlite3.Connection) -> None:
    counts = Counts()
    async with Ledger.open(path, sweep=False) as ledger:
        await ledger.append_many(
            [
                Append(run_id=f"r{n}", drafts=[draft_run(RunSpec(kind="a")), draft_event(Completed())])
                for n in range(3)
            ]
        )
    assert counts.of(connection, RunFilter()) == {"completed": 3}
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("DELETE FROM run_entry WHERE number = 3")
        writer.execute("UPDATE ledger SET number = 2")
        assert counts.of(connection, RunFilter()) == {"completed": 2}
        writer.execute("UPDATE run_entry SET status = 'running' WHERE number = 2")
        writer.execute("UPDATE ledger SET epoch = '0123456789abcdef'")
    assert counts.of(connection, RunFilter()) == {"completed": 1, "running": 1}


async def test_a_bounded_number_of_filters_is_remembered(connection: sqlite3.Connection) -> None:
    counts = Counts()
    for number in range(FILTERS_KEPT + 10):
        assert counts.of(connection, RunFilter(kind=f"k{number}")) == {}
        assert counts.of(connection, RunFilter(run_ids=frozenset({f"r{number}"}))) == {}
    assert len(counts._kept) == FILTERS_KEPT


def _all_counted(connection: sqlite3.Connection, where: RunFilter) -> dict[str, int]:
    sql, parameters = select_runs(where, "status, count(*)", group="status")
    return dict(connection.execute(sql, parameters).fetchall())
