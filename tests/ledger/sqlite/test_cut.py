"""What is left of a log without its write-ahead log is a log, or is refused in a sentence."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from progress_ledger.ledger import Ledger, Noted, RunSpec, Ticked, Unavailable
from progress_ledger.ledger.door import Draft, draft_event
from progress_ledger.ledger.sqlite.cut import why_unsound

pytestmark = pytest.mark.anyio


def _said(number: int) -> Draft:
    return draft_event(Noted(message=f"word {number} " + "x" * 900), event_id=f"w{number}")


async def _killed_in_a_checkpoint_that_a_reader_held_up(folder: Path) -> Path:
    path, killed = folder / "p.db", folder / "killed.db"
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
    async with Ledger.open(path) as ledger:
        await ledger.append("r", [_said(number) for number in range(40)])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM event").fetchone()
            await ledger.append("r", [Ticked(done=1)])
            with closing(sqlite3.connect(path)) as other:
                other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        for suffix in ("", "-wal", "-lock"):
            shutil.copy(f"{path}{suffix}", f"{killed}{suffix}")
    return killed


async def test_a_log_that_lost_its_wal_in_the_middle_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    killed = await _killed_in_a_checkpoint_that_a_reader_held_up(tmp_path)
    wal = killed.with_name("killed.db-wal")
    wal.rename(tmp_path / "kept")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"cannot be used.* restore a "):
            async with Ledger.open(killed):
                pass
    (tmp_path / "kept").replace(wal)
    async with Ledger.open(killed) as ledger:
        assert await ledger.log.head() == 42


async def test_a_log_that_was_cut_and_does_not_fit_together_says_what_became_of_it(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        await ledger.append("r", [_said(number) for number in range(40)])
        epoch = ledger.epoch
    path.with_name("p.db-lock").write_bytes(b"%b %020d\n" % (epoch.encode(), 99))
    with closing(sqlite3.connect(path)) as connection:
        _lose_an_id(connection)
        connection.commit()
    with pytest.raises(
        Unavailable, match=r"lost its write-ahead log \(p\.db-wal\).*off by 1\. Put the log back"
    ):
        async with Ledger.open(path):
            pass


def _lose_an_id(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM event_id WHERE event_id = 'w3'")


def _lose_an_event(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM event WHERE position = 7")


def _know_an_older_head(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE ledger SET position = position - 1")


def _list_another_head(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE head SET version = version - 1")


def _lose_a_page(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'mark'")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_lose_an_id, "event ids is off by 1"),
        (_lose_an_event, "no event at position 7"),
        (_know_an_older_head, "log was at position 4"),
        (_list_another_head, "directory's entry"),
        (_lose_a_page, ""),
    ],
)
async def test_what_does_not_fit_together_is_named(
    tmp_path: Path, harm: Callable[[sqlite3.Connection], None], why: str
) -> None:
    path = tmp_path / "p.db"
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        await ledger.append("r", [_said(number) for number in range(40)])
    assert why_unsound(path) is None
    with closing(sqlite3.connect(path)) as connection:
        harm(connection)
        connection.commit()
    found = why_unsound(path)
    assert found is not None
    assert why in found
