"""Filters as SQL: values are bound, columns and rows fit, directories are searched by index."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from progress_ledger.ledger.events import ACTIVE
from progress_ledger.ledger.log import RunFilter, RunHead
from progress_ledger.ledger.sqlite.file import connect_writer
from progress_ledger.ledger.sqlite.runs import HEAD_COLUMNS, head_of, select_runs, teach

WHERE = [
    RunFilter(),
    RunFilter(kind="k"),
    RunFilter(kind="k", scope="s"),
    RunFilter(scope="s"),
    RunFilter(parent="p"),
    RunFilter(slot="s"),
    RunFilter(statuses=frozenset({"running"})),
    RunFilter(labels=(("a", "b"), ("c", "d"))),
    RunFilter(run_ids=frozenset({"a", "b"})),
    RunFilter(kinds=frozenset({"k"})),
    RunFilter(q="x"),
]


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return connect_writer(tmp_path / "log.db", durability="process", busy_timeout=1, now=1.0)


@pytest.mark.parametrize("where", WHERE, ids=repr)
@pytest.mark.parametrize("backwards", [True, False])
def test_every_filter_is_a_statement_that_sqlite_takes(
    connection: sqlite3.Connection, where: RunFilter, backwards: bool
) -> None:
    teach(connection)
    sql, parameters = select_runs(where, HEAD_COLUMNS, after=5, backwards=backwards, limit=10)
    assert sql.count("?") == len(parameters)
    assert connection.execute(sql, parameters).fetchall() == []
    sql, parameters = select_runs(where, "status, count(*)", group="status")
    assert connection.execute(sql, parameters).fetchall() == []
    connection.close()


@pytest.mark.parametrize("where", WHERE[:7], ids=repr)
def test_pages_come_in_order_of_an_index_and_are_never_sorted(
    connection: sqlite3.Connection, where: RunFilter
) -> None:
    sql, parameters = select_runs(where, HEAD_COLUMNS, after=5, backwards=True, limit=10)
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert not any("TEMP B-TREE" in step for step in steps), steps
    connection.close()


@pytest.mark.parametrize(
    "where",
    [
        RunFilter(statuses=frozenset({"running"})),
        RunFilter(statuses=ACTIVE, kind="k"),
        RunFilter(statuses=ACTIVE, kinds=frozenset({"k", "l"})),
        RunFilter(statuses=ACTIVE, kind_pattern="k*"),
        RunFilter(statuses=ACTIVE, q="x"),
    ],
    ids=repr,
)
def test_active_runs_are_found_without_a_look_at_the_ended_ones(
    connection: sqlite3.Connection, where: RunFilter
) -> None:
    teach(connection)
    sql, parameters = select_runs(where, HEAD_COLUMNS, backwards=True, limit=10)
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert "run_active" in steps[0], steps
    assert not any("TEMP B-TREE" in step for step in steps), steps
    connection.close()


def test_a_value_is_never_part_of_the_statement() -> None:
    evil = "x' OR 1=1 --"
    where = RunFilter(
        kind=evil, scope=evil, q=evil, parent=evil, slot=evil, labels=((evil, evil),), kinds=frozenset({evil})
    )
    sql, _ = select_runs(where, HEAD_COLUMNS)
    assert "1=1" not in sql


def test_a_row_becomes_the_head_its_columns_say(connection: sqlite3.Connection) -> None:
    row = (1, "r", "k", "sc", "t", "p", "o", "sl", 9.0, 2, '{"a":"\u00fc"}', "running", 7, 1, 9, "at", None)
    assert head_of(row) == RunHead(
        number=1, run_id="r", kind="k", scope="sc", title="t", parent="p", owner="o", slot="sl",
        lease_seconds=9.0, attempt=2, labels={"a": "ü"}, status="running", version=7, first=1, last=9,
        time="at", pruned=None,
    )  # fmt: skip
    columns = [each.strip() for each in HEAD_COLUMNS.split(",")]
    assert columns == [each[1] for each in connection.execute("PRAGMA table_info(run)")]
    connection.close()
