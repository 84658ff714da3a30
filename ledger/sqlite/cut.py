"""What is left of a log that was cut: whole up to where it ends, or a mixture of old and new pages."""

import logging
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from ..errors import Unavailable
from .file import connect_reader, friendly, locked_file, transaction
from .verify import check_hashes, check_rules

__all__ = ("renew_if_cut", "why_unsound")

_logger = logging.getLogger("progress_ledger.ledger")

# An event whose id is not in the index would be taken a second time.
_IDS = """
SELECT (SELECT count(*) FROM event WHERE json_extract(body, '$.event_id') IS NOT NULL)
     - (SELECT count(*) FROM event_id JOIN event USING (position) WHERE body IS NOT NULL)
"""


def renew_if_cut(connection: sqlite3.Connection, path: Path, *, busy_timeout: float) -> None:
    """Give a log that is shorter than it was an epoch of its own: readers begin again from a snapshot, and
    never take what comes at a position for what they saw there before.

    Raises Unavailable, and changes nothing, when what is left is no log; Locked and DiskFull.
    """
    with friendly(path), locked_file(path, busy_timeout) as lock:
        epoch, position = connection.execute("SELECT epoch, position FROM ledger").fetchone()
        noted = lock.noted(epoch)
        if noted <= position:
            return
        why = why_unsound(path)
        if why is not None:
            raise Unavailable(
                f"{path} lost its write-ahead log ({path.name}-wal) while a part of that was in the file, "
                f"and what is left cannot be used: {why}. Put the log back, or restore a backup."
            )
        with transaction(connection):
            connection.execute("UPDATE ledger SET epoch = ?", (secrets.token_hex(8),))
            # What was derived may know more than the log still does.
            connection.execute("DELETE FROM document")
            connection.execute("DELETE FROM checkpoint")
    _logger.error(
        "%s ends at position %d and went to %d before: somebody removed its write-ahead log (%s-wal), "
        "put an old copy in its place, or crashed with durability=process. What came later is "
        "lost; the log goes on under a new epoch.",
        path,
        position,
        noted,
        path.name,
    )


def why_unsound(path: Path) -> str | None:
    """The first thing that does not fit together in the file at ``path``, or None. Reads all of it.

    A checkpoint moves a page only in its newest version, so that one which a reader held up leaves pages of
    several moments in the file: without the write-ahead log these are no log at all.
    """
    try:
        with closing(connect_reader(path, busy_timeout=5)) as connection:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                return str(said).splitlines()[-1]
            (astray,) = connection.execute(_IDS).fetchone()
            if astray:
                return f"the index of event ids is off by {astray}"
        findings = check_hashes(path, ()).findings or check_rules(path).findings
    except (sqlite3.DatabaseError, ValueError) as error:
        # Damage in the schema or a text raises UnicodeDecodeError, a ValueError.
        return str(error)
    return findings[0].message.rstrip(".") if findings else None
