"""``progress-ledger doctor``: what is misconfigured or suspicious. Exit status 1 when there is a problem."""

import argparse
import os
import shutil
import sqlite3
import stat
import time
from pathlib import Path

from rich.text import Text

from progress_ledger.ledger import codec
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import RunFilter
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.times import format_time
from progress_ledger.projections.projector import Projector

from ..console.doctor import FileFacts, Finding, of_clock, of_file, of_run
from ..console.terminal import console, for_people, plain, write_json
from ..tokens import tokens_path
from .loop import run_loop
from .source import DEFAULT_DB, Commands, file_of

__all__ = ("add_parser",)

_RUNS = 1_000
_EVENTS = 20_000
_PAGE = 1_000
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="look for what is wrong or suspicious", description=__doc__)
    parser.add_argument("--db", metavar="PATH", help=f"the ledger file ({DEFAULT_DB})")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, also on a terminal")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    path = file_of(arguments.db)
    found: list[Finding] = []

    async def look() -> None:
        found.extend(await _findings(path))

    run_loop(look)
    people = for_people(arguments.json)
    for finding in found:
        if people:
            word = Text(f"{finding.level:>7}  ", style=_STYLES[finding.level])
            console().print(word.append(plain(finding.detail), style="default"))
        else:
            write_json(finding._asdict())
    return 1 if any(finding.level == "problem" for finding in found) else 0


async def _findings(path: Path) -> list[Finding]:
    async with Ledger.open(path, read_only=True) as ledger, Projector.open(ledger) as projector:
        log = ledger.log
        assert isinstance(log, SQLiteLog)
        found = of_file(await log.on_reader(lambda connection: _facts(connection, path)))
        head = await log.head()
        times: list[tuple[int, str]] = []
        after = max(0, head - _EVENTS)
        while after < head:
            page = await log.read(after, limit=_PAGE)
            if not page:
                break
            times += [(at, codec.decode(body, at).time) for at, body in page if body is not None]
            after = page[-1][0]
        found += of_clock(times)
        newest = await log.runs(RunFilter(), limit=_RUNS)
        states = await projector.states([one.run_id for one in newest.runs])
        now = format_time(time.time())
        for one in newest.runs:
            if one.run_id in states:
                found += of_run(states[one.run_id], one, now=now)
        said = f"Looked at the newest {len(newest.runs)} runs and {len(times)} events."
        return [*found, Finding("ok", "looked", said)]


def _facts(connection: sqlite3.Connection, path: Path) -> FileFacts:
    wal = path.with_name(path.name + "-wal")
    tokens = tokens_path(path)
    (journal_mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return FileFacts(
        sqlite=sqlite3.sqlite_version_info,
        journal_mode=journal_mode,
        free_bytes=shutil.disk_usage(path.resolve().parent).free,
        wal_bytes=wal.stat().st_size if wal.exists() else 0,
        tokens_readable_by_others=tokens.exists() and bool(stat.S_IMODE(os.stat(tokens).st_mode) & 0o077),
    )
