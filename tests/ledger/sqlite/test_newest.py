"""The newest position is said where it is asked: every commit is seen at once, and nobody is waited for."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.sqlite.newest import Newest

pytestmark = pytest.mark.anyio

APPEND = """
import asyncio, sys
from progress_ledger.ledger.events import Ticked
from progress_ledger.ledger.ledger import Ledger

async def main():
    async with Ledger.open(sys.argv[1], sweep=False) as ledger:
        await ledger.append("r", [Ticked(done=1)])

asyncio.run(main())
"""


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
    return path


@pytest.fixture
def newest(path: Path) -> Iterator[Newest]:
    with closing(Newest(path, busy_timeout=1.0)) as newest:
        yield newest


async def test_a_commit_of_this_process_is_seen(path: Path, newest: Newest) -> None:
    assert newest.look() == 1
    async with Ledger.open(path, sweep=False) as ledger:
        for position in range(2, 30):
            await ledger.append("r", [Ticked(done=position)])
            assert newest.look() == position


async def test_a_commit_of_another_process_is_seen(path: Path, newest: Newest) -> None:
    assert newest.look() == 1
    await anyio.run_process([sys.executable, "-c", APPEND, str(path)])
    assert newest.look() == 2


async def test_nothing_is_said_of_a_file_that_is_locked_and_all_of_it_once_it_is_free(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as another:
        another.execute("PRAGMA journal_mode = DELETE")
        with closing(Newest(path, busy_timeout=30.0)) as newest:
            assert newest.look() == 1
            another.execute("BEGIN EXCLUSIVE")
            assert newest.look() is None  # at once: the time limit of a test is 60 s, and it asks again
            assert newest.look() is None
            another.execute("ROLLBACK")
            assert newest.look() == 1


async def test_a_head_that_cannot_be_said_at_once_is_asked_with_patience(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Ledger.open(path, sweep=False) as ledger:
        monkeypatch.setattr(Newest, "look", lambda _: None)
        assert ledger.log.glance() is None
        assert await ledger.log.head() == 1


def test_no_file_is_begun_by_looking(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no ledger at"):
        Newest(tmp_path / "none.db", busy_timeout=0.0)
    assert list(tmp_path.iterdir()) == []
