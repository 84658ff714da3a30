"""The engine on a file, where it is more than the contract: its thread, its memory of heads, its pages."""

from __future__ import annotations

import ast
import asyncio
import sqlite3
import threading
from pathlib import Path

import aiosqlite
import anyio
import pytest

from progress_ledger.ledger.door import draft_event, draft_run
from progress_ledger.ledger.errors import Closed, LedgerError, Pruned, Unavailable
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.log import Accepted, Append, Document, RunFilter
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite import engine as sqlite
from progress_ledger.ledger.sqlite.plan import write_plan
from tests import tree

pytestmark = pytest.mark.anyio


def _creation(run_id: str, spec: RunSpec | None = None) -> Append:
    return Append(run_id=run_id, drafts=[draft_run(spec or RunSpec(kind="k"))], create=True)


def _tick(run_id: str, done: int = 1, *, event_id: str | None = None) -> Append:
    return Append(run_id=run_id, drafts=[draft_event(Ticked(done=done), event_id=event_id)])


def test_the_private_door_of_aiosqlite_is_used_in_one_place_only() -> None:
    # `_execute` is what makes a batch one hop; whoever raises aiosqlite's version reads that function again.
    uses = [
        f"{tree.name(path)}: {node.attr}"
        for package in tree.PACKAGES
        for path in tree.modules(package)
        for node in ast.walk(tree.parse(path))
        if isinstance(node, ast.Attribute) and node.attr in ("_execute", "_conn")
    ]
    assert uses == ["ledger/sqlite/engine.py: _execute", "ledger/sqlite/engine.py: _conn"]


def test_the_private_door_of_aiosqlite_is_still_what_was_read() -> None:
    async def call() -> tuple[int, str]:
        connection = await aiosqlite.connect(":memory:")
        try:
            execute = connection._execute  # its signature is not typed
            found = await execute(lambda a, b: (a + b, threading.current_thread().name), 1, 2)  # type: ignore[no-untyped-call]
            assert isinstance(connection._conn, sqlite3.Connection)
            return found  # type: ignore[no-any-return]
        finally:
            await connection.close()

    total, thread = asyncio.run(call())
    assert total == 3
    assert thread != threading.current_thread().name


async def test_a_call_runs_to_its_end_whatever_becomes_of_the_caller(tmp_path: Path) -> None:
    async with SQLiteLog.open(tmp_path / "log.db", now=1.0) as log:
        began, may_end = threading.Event(), threading.Event()

        def slow(connection: sqlite3.Connection) -> None:
            began.set()
            assert may_end.wait(10)
            connection.execute("INSERT INTO document VALUES ('s', 'k', 1, x'')")

        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(log.on_writer, slow)
                await anyio.to_thread.run_sync(began.wait)
                scope.cancel()
        may_end.set()
        # neither a transaction left open, nor half of it
        assert isinstance((await log.commit([_creation("r")], now=1.0)).outcomes[0], Accepted)
        assert await log.load_documents("s") == [Document("k", 1, b"")]


async def test_a_function_that_fails_in_a_transaction_leaves_nothing(tmp_path: Path) -> None:
    async with SQLiteLog.open(tmp_path / "log.db", now=1.0) as log:

        def bad(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO document VALUES ('s', 'k', 1, x'')")
            connection.execute("INSERT INTO nowhere VALUES (1)")

        with pytest.raises(Unavailable, match="nowhere"):
            await log.on_writer(bad)
        assert await log.load_documents("s") == []

        def vacuum(connection: sqlite3.Connection) -> None:
            connection.execute("VACUUM")

        await log.on_writer(vacuum, exclusive=True)
        assert isinstance((await log.commit([_creation("r")], now=1.0)).outcomes[0], Accepted)


async def test_who_writes_much_folds_the_write_ahead_log_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SQLiteLog.open(path, now=1.0) as log:

        def fill(connection: sqlite3.Connection) -> None:
            value = bytes(400_000)
            connection.execute("INSERT INTO document VALUES ('s', 'k', 1, ?)", (value,))

        before = path.stat().st_size
        await log.on_writer(fill, pages=sqlite.CHECKPOINT_PAGES - 1)
        assert path.stat().st_size == before
        await log.on_writer(lambda connection: None, pages=1)
        assert path.stat().st_size > before + 400_000


async def test_a_commit_that_fails_midway_leaves_nothing_and_forgets_what_it_knew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SQLiteLog.open(tmp_path / "log.db", now=1.0) as log:
        await log.commit([_creation("r")], now=1.0)

        def broken(*_: object, **__: object) -> None:
            write(*_, **__)  # type: ignore[arg-type]
            raise sqlite3.OperationalError("disk I/O error")

        write = write_plan
        monkeypatch.setattr(sqlite, "write_plan", broken)
        with pytest.raises(Unavailable):
            await log.commit([_tick("r"), _creation("s")], now=1.0)
        monkeypatch.undo()
        assert await log.head() == 1
        (outcome,) = (await log.commit([_tick("r")], now=1.0)).outcomes
        assert isinstance(outcome, Accepted)
        assert (outcome.receipts[0].position, outcome.receipts[0].version) == (2, 2)
        assert await log.run("s") is None


async def test_heads_are_forgotten_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.ledger.sqlite.planner.HEADS_KEPT", 8)
    async with SQLiteLog.open(tmp_path / "log.db", now=1.0) as log:
        for number in range(40):
            await log.commit([_creation(f"r{number}")], now=1.0)
            assert len(log._planner._heads) <= 10
        for number in range(40):
            (outcome,) = (await log.commit([_tick(f"r{number}")], now=1.0)).outcomes
            assert isinstance(outcome, Accepted)
            assert outcome.receipts[0].version == 2


async def test_a_pruned_run_keeps_its_id_and_answers_pruned(tmp_path: Path) -> None:
    async with SQLiteLog.open(tmp_path / "log.db", now=1.0) as log:
        await log.commit([_creation("r"), _tick("r", event_id="a")], now=1.0)
        await log.commit([Append(run_id="r", drafts=[draft_event(Completed())])], now=1.0)

        def prune(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE event SET body = NULL")
            connection.execute("UPDATE run_entry SET pruned = 'archive/r.ndjson'")

        await log.on_writer(prune)
        with pytest.raises(Pruned) as caught:
            await log.read_run("r", limit=10)
        assert caught.value.archive == "archive/r.ndjson"
        assert list(await log.read(0, limit=10)) == [(1, None), (2, None), (3, None)]
        outcomes = (
            await log.commit([_creation("r"), _tick("r"), _tick("r", event_id="a")], now=1.0)
        ).outcomes
        assert [each.code for each in outcomes if isinstance(each, LedgerError)] == [
            "run_exists",
            "run_ended",
            "run_ended",
        ]


async def test_reading_does_not_wait_for_writing(tmp_path: Path) -> None:
    async with SQLiteLog.open(tmp_path / "log.db", now=1.0) as log:
        await log.commit([_creation("r")], now=1.0)
        began, may_end = threading.Event(), threading.Event()

        def slow(connection: sqlite3.Connection) -> None:
            began.set()
            assert may_end.wait(10)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.on_writer, slow)
            await anyio.to_thread.run_sync(began.wait)
            with anyio.fail_after(10):
                assert await log.head() == 1
            may_end.set()


async def test_closing_finishes_what_is_queued_and_refuses_what_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SQLiteLog.open(path, now=1.0) as log, anyio.create_task_group() as tasks:
        tasks.start_soon(_commit, log)
        await anyio.wait_all_tasks_blocked()
        await log.close()
        with pytest.raises(Closed):
            await log.head()
    async with SQLiteLog.open(path, now=1.0) as log:
        assert await log.head() == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log.db", "log.db-lock"]


async def _commit(log: SQLiteLog) -> None:
    await log.commit([_creation("r")], now=1.0)


async def test_leaving_by_an_exception_closes_the_file(tmp_path: Path) -> None:
    opened: list[SQLiteLog] = []

    async def leave() -> None:
        async with SQLiteLog.open(tmp_path / "log.db", now=1.0) as log:
            opened.append(log)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave()
    with pytest.raises(Closed):
        await opened[0].runs(RunFilter())
