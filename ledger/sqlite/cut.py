"""What is left of a log that was cut: whole up to where it ends, or a mixture of old and new pages."""

import sqlite3
from contextlib import closing
from pathlib import Path

from .file import connect_reader
from .verify import check_hashes, check_rules

__all__ = ("why_unsound",)

# An event whose id is not in the index would be taken a second time.
_IDS = """
SELECT (SELECT count(*) FROM event WHERE json_extract(body, '$.event_id') IS NOT NULL)
     - (SELECT count(*) FROM event_id JOIN event USING (position) WHERE body IS NOT NULL)
"""


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
