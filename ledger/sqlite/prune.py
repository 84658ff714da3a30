"""Remove the payloads of finished runs from a ledger's file, a little at a time: on a ``sqlite3`` connection.

A run is first marked as pruned, then its events lose their bodies from the last to the first. An interruption
leaves a marked run whose first event still has its body: :func:`unfinished` finds it, and the work goes on.
"""

import sqlite3
from typing import NamedTuple

from ..events import TERMINAL

__all__ = (
    "PRUNE_KIND",
    "Finished",
    "candidates",
    "free_pages",
    "give_back",
    "mark_pruned",
    "strip",
    "unfinished",
    "unrecorded",
)

PRUNE_KIND = "ledger.prune"
"""The kind of the runs that record prunings; these runs themselves stay."""

_OVER = ", ".join(f"'{status}'" for status in sorted(TERMINAL))


_DONE = """
WITH RECURSIVE chain (position, previous, body) AS (
    SELECT position, previous, body FROM event WHERE position = (SELECT last FROM head WHERE run = ?)
    UNION ALL
    SELECT e.position, e.previous, e.body FROM chain AS c JOIN event AS e ON e.position = c.previous
)
SELECT max(CAST(json_extract(body, '$.data.done') AS INTEGER)) FROM chain WHERE json_valid(body)
"""


class Finished(NamedTuple):
    """A run that is over, as far as pruning needs to know it."""

    number: int
    run_id: str
    first: int
    last: int
    version: int


def candidates(
    connection: sqlite3.Connection, *, before: str, keep_failed: bool, limit: int
) -> list[Finished]:
    """Runs that ended before a time and have their events, oldest first."""
    failed = " AND status <> 'failed'" if keep_failed else ""
    sql = (
        "SELECT number, run_id, first, last, version FROM run"
        f" WHERE status IN ({_OVER}){failed} AND time < ? AND pruned IS NULL AND kind <> ?"
        " ORDER BY number LIMIT ?"
    )
    return [Finished(*row) for row in connection.execute(sql, (before, PRUNE_KIND, limit))]


def unfinished(connection: sqlite3.Connection) -> list[Finished]:
    """Runs whose pruning was interrupted."""
    sql = (
        "SELECT r.number, r.run_id, r.first, r.last, r.version FROM run AS r JOIN event AS e"
        " ON e.position = r.first WHERE r.pruned IS NOT NULL AND e.body IS NOT NULL"
    )
    return [Finished(*row) for row in connection.execute(sql)]


def mark_pruned(connection: sqlite3.Connection, run: Finished, archive: str) -> bool:
    """From here on the run's events count as gone, and are in ``archive`` ('' for nowhere).

    False when the run is not as it was found: nothing is marked then.
    """
    sql = (
        "UPDATE run_entry SET pruned = ? WHERE number = ? AND pruned IS NULL"
        " AND (SELECT version FROM head WHERE run = number) = ?"
    )
    sql += f" AND status IN ({_OVER})"
    return connection.execute(sql, (archive, run.number, run.version)).rowcount == 1


def strip(connection: sqlite3.Connection, run: Finished, position: int, limit: int) -> int:
    """Remove the bodies of up to ``limit`` events, back from ``position``; where to go on, 0 at the end."""
    bare: list[tuple[int, int, int, None]] = []
    for _ in range(limit):
        if position == 0:
            break
        row = connection.execute("SELECT previous FROM event WHERE position = ?", (position,)).fetchone()
        bare.append((position, run.number, row[0], None))
        position = row[0]
    # An update leaves half-empty pages as they are; only a deletion lets SQLite join them and free one.
    connection.executemany("DELETE FROM event WHERE position = ?", [row[:1] for row in bare])
    connection.executemany(
        "INSERT INTO event (position, run, previous, body) VALUES (?, ?, ?, ?)", reversed(bare)
    )
    if position == 0:
        connection.execute("DELETE FROM event_id WHERE run = ?", (run.number,))
        connection.execute("DELETE FROM mark WHERE run = ?", (run.number,))
    return position


def unrecorded(connection: sqlite3.Connection) -> int:
    """How many runs are marked as pruned beyond those that the log's own records of pruning account for.

    Of a pruning that goes on, or broke off, any number of runs may not be recorded yet: then it is 0.
    """
    (marked,) = connection.execute("SELECT count(*) FROM run_entry WHERE pruned IS NOT NULL").fetchone()
    recorded = 0
    for number, status in connection.execute(
        "SELECT number, status FROM run_entry WHERE kind = ?", (PRUNE_KIND,)
    ).fetchall():
        if status != "completed":
            return 0
        (done,) = connection.execute(_DONE, (number,)).fetchone()
        recorded += done or 0
    return max(0, int(marked) - recorded)


def free_pages(connection: sqlite3.Connection) -> int:
    """Pages of the file that hold nothing."""
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def give_back(connection: sqlite3.Connection, pages: int) -> None:
    """Cut up to so many empty pages off the file. Outside of a transaction; nothing on a file that was
    created without incremental vacuum."""
    # `execute` steps a statement without columns once, which would give back one page.
    connection.executescript(f"PRAGMA incremental_vacuum({int(pages)})")
