"""What was decided about a batch, as rows of the ledger's file. Plain ``sqlite3``, on the writer's thread."""

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain

import msgspec

from ..batch import Plan, World
from ..errors import Unavailable
from ..log import RunHead
from .file import queries

__all__ = ("MARK_EVERY", "pages_of", "write_plan")

MARK_EVERY = 256
"""Every so many versions a run's position is marked: a page in its midst costs at most so many steps more."""


def pages_of(done: Plan) -> int:
    """About how many pages :func:`write_plan` adds to the write-ahead log."""
    # Events lie side by side, some 64 heads share a page, and what is indexed touches a page of each index.
    events = sum(len(row[3]) + 24 for row in done.rows) // 4096 + 1
    runs = len({head.number >> 6 for head in done.touched.values()}) + 1
    return events + runs + 5 * len(done.created) + len(done.changed) + len(done.event_ids)


def write_plan(connection: sqlite3.Connection, done: Plan, world: World, *, position: int) -> None:
    """Write all of a plan that was made at ``position``, inside the transaction it was made in.

    Raises Unavailable when the log moved on underneath, which only damage can do.
    """
    sql = queries()
    touched = done.touched.values()
    _insert(connection, sql["add_event"], done.rows)
    _insert(
        connection, sql["move_run"], [(head.number, head.version, head.last, head.time) for head in touched]
    )
    if done.changed:
        # Only where it moved: it stands in the condition of two indexes.
        changed = [(head.status, head.number) for head in touched if head.number in done.changed]
        connection.executemany(sql["set_status"], changed)
    if done.created:
        # After the runs that ended, which may have freed a slot for these.
        connection.executemany(sql["add_run"], [_run_row(done.touched[head.run_id]) for head in done.created])
        labels = [(key, value, head.number) for head in done.created for key, value in head.labels.items()]
        connection.executemany(sql["add_label"], labels)
    marks = [
        (row[1], recorded.event.version, row[0])
        for row, recorded in zip(done.rows, done.events, strict=True)
        if recorded.event.version % MARK_EVERY == 0
    ]
    if marks:
        connection.executemany(sql["add_mark"], marks)
    if done.event_ids:
        connection.executemany(sql["add_event_id"], done.event_ids)
    moved_head = connection.execute(sql["move_head"], (world.position, world.number, position))
    if moved_head.rowcount != 1:
        raise Unavailable("The log's head moved under a write transaction; the file is damaged. Run verify.")


def _insert(connection: sqlite3.Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
    # Sixteen rows in one statement cost half of what sixteen statements cost.
    full = len(rows) - len(rows) % 16
    for start in range(0, full, 16):
        connection.execute(_sixteen(sql), list(chain.from_iterable(rows[start : start + 16])))
    connection.executemany(sql, rows[full:])


@cache
def _sixteen(sql: str) -> str:
    values = sql[sql.index(" VALUES ") + 8 :].rstrip(";")
    return sql.rstrip(";") + f", {values}" * 15


def _run_row(head: RunHead) -> tuple[object, ...]:
    return (
        head.number,
        head.run_id,
        head.kind,
        head.scope,
        head.title,
        head.parent,
        head.owner,
        head.slot,
        head.lease_seconds,
        head.attempt,
        msgspec.json.encode(head.labels).decode(),
        head.status,
        head.first,
    )
