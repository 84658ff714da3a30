"""The walk is bounded, ends, and leaves the writer to others in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger.ledger.chunks import Chunk, Pace, chunks


@pytest.fixture
def table(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "data.db")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, seen INTEGER NOT NULL DEFAULT 0)")
    connection.executemany("INSERT INTO t (id) VALUES (?)", ((number * 3,) for number in range(1, 101)))
    connection.commit()
    yield connection
    connection.close()


def walk(table: sqlite3.Connection, **options: object) -> list[Chunk]:
    slept: list[float] = []
    return list(chunks(table, "t", key="id", sleep=slept.append, **options))  # type: ignore[arg-type]


@pytest.mark.acceptance("C1", "C2")
def test_chunks_meet_every_row_once_and_no_chunk_is_too_large(table: sqlite3.Connection) -> None:
    met = 0
    for low, high in walk(table, size=7):
        (rows,) = table.execute("SELECT count(*) FROM t WHERE id > ? AND id <= ?", (low, high)).fetchone()
        assert 0 < rows <= 7
        met += rows
    assert met == 100


@pytest.mark.acceptance("C3")
def test_rows_that_come_meanwhile_do_not_keep_it_alive(table: sqlite3.Connection) -> None:
    count = 0
    for chunk in chunks(table, "t", key="id", size=10, sleep=lambda _: None):
        table.execute("INSERT INTO t (id) VALUES (?)", (10_000 + count,))
        assert chunk.high <= 300
        count += 1
    assert count == 10


@pytest.mark.acceptance("C4", "C9")
def test_rows_that_cannot_be_mended_are_met_once(table: sqlite3.Connection) -> None:
    assert sum(1 for _ in chunks(table, "t", key="id", where="seen = 0", size=10, sleep=lambda _: None)) == 10


@pytest.mark.acceptance("C5", "C6")
def test_errors_of_the_database_go_to_the_caller(table: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError):
        next(chunks(table, "no_such_table"))
    walking = chunks(table, "t", key="id", size=10, sleep=lambda _: None)
    next(walking)
    table.execute("DROP TABLE t")
    with pytest.raises(sqlite3.OperationalError):
        next(walking)


@pytest.mark.acceptance("C7")
def test_a_request_to_stop_is_heard_between_chunks(table: sqlite3.Connection) -> None:
    class Asked:
        cancel_requested = False

    asked = Asked()
    done = 0
    for _ in chunks(table, "t", key="id", size=10, sleep=lambda _: None, run=asked):  # type: ignore[arg-type]
        done += 1
        asked.cancel_requested = done == 3
    assert done == 3


@pytest.mark.acceptance("C8")
@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": -1}, {"pause": -0.1}])
def test_wrong_sizes_and_pauses_raise_before_anything_is_read(
    table: sqlite3.Connection, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValueError):
        chunks(table, "no_such_table", **wrong)  # type: ignore[arg-type]  # it is what is tested


def test_an_empty_table_is_no_chunk(table: sqlite3.Connection) -> None:
    assert walk(table, where="id < 0") == []


def test_the_pace_goes_by_what_a_chunk_takes() -> None:
    pace = Pace(size=1_000, pause=0.01, target=0.02)
    pace.took(0.2)
    assert (pace.size, pace.pause) == (500, 0.2)
    pace.took(0.001)
    assert (pace.size, pace.pause) == (1_000, 0.01)
    for _ in range(20):
        pace.took(9.0)
    assert (pace.size, pace.pause) == (1, 1.0)
