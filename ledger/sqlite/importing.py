"""Put the runs of a verified bundle into a ledger's file, without changing a byte of what is hashed.

A run goes in whole, in one transaction: its events keep their stored bytes and get new positions. A run that
is there already with the same bytes is left alone, so that an interrupted import is simply repeated.
"""

import sqlite3
from collections.abc import Sequence
from typing import cast

import msgspec

from ..audit.bundle import BundleDamaged
from ..codec import decode
from ..errors import RunExists
from ..events import RunSpec
from ..lifecycle import next_status
from .export import read_run_rows
from .file import queries
from .plan import MARK_EVERY

__all__ = ("import_run", "pages_of_run")


def pages_of_run(bodies: Sequence[bytes]) -> int:
    """About how many pages :func:`import_run` adds to the write-ahead log."""
    return 8 + sum(map(len, bodies)) // 3600


def import_run(connection: sqlite3.Connection, run_id: str, bodies: Sequence[bytes]) -> bool:
    """Append a finished run's events, inside a transaction; False when the very same run is there.

    Raises RunExists when another run has the id, BundleDamaged when the events are no whole run.
    """
    found = connection.execute("SELECT version, pruned FROM run WHERE run_id = ?", (run_id,)).fetchone()
    if found is not None:
        if found[1] is None and found[0] == len(bodies):
            stored = read_run_rows(connection, run_id, 0, len(bodies))
            if [body for _, body in stored] == list(bodies):
                return False
        raise RunExists(run_id)
    sql = queries()
    position, number = connection.execute(sql["head"]).fetchone()
    begin, number = position, number + 1
    first = position + 1
    spec: RunSpec | None = None
    status: str | None = None
    previous, time, version = 0, "", 0
    rows: list[tuple[int, int, int, str]] = []
    marks: list[tuple[int, int, int]] = []
    event_ids: list[tuple[int, str, int]] = []
    for body in bodies:
        position, version = position + 1, version + 1
        event = decode(body, position)
        status = next_status(status, event.type)
        if status is None or event.version != version or event.run_id != run_id or event.time < time:
            raise BundleDamaged(f"The events of run {run_id!r} are no whole history.", run_id=run_id)
        if spec is None:
            spec = cast("RunSpec", event.data)
        rows.append((position, number, previous, body.decode("ascii")))
        if version % MARK_EVERY == 0:
            marks.append((number, version, position))
        if event.event_id is not None:
            event_ids.append((number, event.event_id, position))
        previous, time = position, event.time
    assert spec is not None
    connection.execute(
        sql["add_run"],
        (
            number,
            run_id,
            spec.kind,
            spec.scope,
            spec.title,
            spec.parent,
            spec.owner,
            spec.slot,
            spec.lease_seconds,
            spec.attempt,
            msgspec.json.encode(spec.labels).decode(),
            status,
            first,
        ),
    )
    connection.execute(sql["move_run"], (number, version, position, time))
    connection.executemany(sql["add_label"], [(key, value, number) for key, value in spec.labels.items()])
    connection.executemany(sql["add_event"], rows)
    connection.executemany(sql["add_mark"], marks)
    connection.executemany(sql["add_event_id"], event_ids)
    connection.execute(sql["move_head"], (position, number, begin))
    return True
