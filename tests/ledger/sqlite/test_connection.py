"""A connection that cannot be opened leaves no thread behind."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from progress_ledger.ledger.sqlite.connection import connected

pytestmark = pytest.mark.anyio


async def test_a_connection_that_cannot_be_opened_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    threads: list[threading.Thread] = []

    def fail() -> sqlite3.Connection:
        threads.append(threading.current_thread())
        raise sqlite3.OperationalError("no such folder")

    with pytest.raises(sqlite3.OperationalError, match="no such folder"):
        await connected(fail)
    (thread,) = threads
    assert thread not in before
    assert not thread.is_alive()


async def test_a_connection_that_opens_works_on_its_own_thread() -> None:
    connection = await connected(lambda: sqlite3.connect(":memory:", check_same_thread=False))
    try:
        async with connection.execute("SELECT 1 + 1") as cursor:
            assert await cursor.fetchone() == (2,)
    finally:
        await connection.close()
