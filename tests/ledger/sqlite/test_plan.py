"""Plans become rows: any number of them, in an order that the indexes allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.ledger.batch import World, plan
from progress_ledger.ledger.door import draft_event, draft_run
from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.log import Append
from progress_ledger.ledger.sqlite.file import connect_writer, queries, transaction
from progress_ledger.ledger.sqlite.plan import MARK_EVERY, pages_of, write_plan

AT = "2026-11-21T23:34:40.000000Z"


def _world() -> World:
    return World(position=0, number=0, heads={}, slots={}, known={}, firsts={})


def _run(run_id: str, ticks: int, *, slot: str | None = None, end: bool = False) -> list[Append]:
    spec = RunSpec(kind="k", slot=slot, labels={"a": "b"})
    requests = [Append(run_id=run_id, drafts=[draft_run(spec)], create=True)]
    requests += [Append(run_id=run_id, drafts=[draft_event(Ticked(done=done))]) for done in range(ticks)]
    if end:
        requests.append(Append(run_id=run_id, drafts=[draft_event(Completed())]))
    return requests


@pytest.mark.parametrize("ticks", [0, 14, 15, 16, 30, 31, 32, 600])
def test_every_row_of_a_plan_is_written_once(tmp_path: Path, ticks: int) -> None:
    connection = connect_writer(tmp_path / "log.db", durability="process", busy_timeout=1, now=1.0)
    world = _world()
    done = plan(_run("r", ticks), world, time=AT)
    with transaction(connection):
        write_plan(connection, done, world, position=0)
    rows = connection.execute("SELECT position, run, previous, body FROM event ORDER BY position").fetchall()
    assert rows == done.rows
    assert len(rows) == ticks + 1
    assert connection.execute("SELECT version, last, time, status FROM run").fetchall() == [
        (ticks + 1, ticks + 1, AT, "running")
    ]
    marks = connection.execute("SELECT version, position FROM mark").fetchall()
    assert marks == [(version, version) for version in range(MARK_EVERY, ticks + 2, MARK_EVERY)]
    assert connection.execute(queries()["head"]).fetchone() == (ticks + 1, 1)
    assert connection.execute("SELECT key, value FROM run_label").fetchall() == [("a", "b")]
    connection.close()


def test_a_slot_may_change_hands_many_times_in_one_plan(tmp_path: Path) -> None:
    connection = connect_writer(tmp_path / "log.db", durability="process", busy_timeout=1, now=1.0)
    world = _world()
    first = plan(_run("a", 1, slot="s"), world, time=AT)
    with transaction(connection):
        write_plan(connection, first, world, position=0)
    requests = [Append(run_id="a", drafts=[draft_event(Completed())])]
    for name in "bcd":
        requests += _run(name, 2, slot="s", end=name != "d")
    position = world.position
    second = plan(requests, world, time=AT)
    with transaction(connection):
        write_plan(connection, second, world, position=position)
    assert connection.execute("SELECT run_id, status FROM run ORDER BY number").fetchall() == [
        ("a", "completed"),
        ("b", "completed"),
        ("c", "completed"),
        ("d", "running"),
    ]
    connection.close()


def test_a_plan_made_elsewhere_than_where_the_log_stands_is_not_written(tmp_path: Path) -> None:
    connection = connect_writer(tmp_path / "log.db", durability="process", busy_timeout=1, now=1.0)
    world = _world()
    done = plan(_run("r", 1), world, time=AT)
    with pytest.raises(Unavailable, match="verify"), transaction(connection):
        write_plan(connection, done, world, position=5)
    assert connection.execute("SELECT count(*) FROM event").fetchone() == (0,)
    connection.close()


def test_pages_are_guessed_near_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    connection = connect_writer(path, durability="process", busy_timeout=1, now=1.0)
    world = _world()
    guessed = 0
    for number in range(40):
        position = world.position
        done = plan([each for run in range(8) for each in _run(f"r{number}-{run}", 8)], world, time=AT)
        with transaction(connection):
            write_plan(connection, done, world, position=position)
        guessed += pages_of(done)
    written = path.with_name("log.db-wal").stat().st_size // 4120
    assert written / 3 < guessed < written * 4
    connection.close()
