"""``progress-ledger demo``: see a real job's progress logged, streamed, cut off and resumed."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.live import Live

from ..console.demo import Demonstration, Report, Screen
from ..console.demo_job import python_folders
from ..console.terminal import console, run_lines
from .loop import run_loop
from .source import DEFAULT_DB, Commands, file_of

__all__ = ("add_parser",)

_INTERRUPTED = 130


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="hash every file of this Python as a run, and follow it",
        description="Hash every file of the running Python and its packages as a run, with a server up, "
        "followed over its event stream by a client that is cut off in the middle and resumes.",
    )
    parser.add_argument("--db", metavar="PATH", help=f"the ledger file (default: {DEFAULT_DB})")
    parser.add_argument("--port", type=int, default=0, help="of the server; by default any free one")
    parser.add_argument("--exit", action="store_true", help="end when done, also on a terminal")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    db = file_of(arguments.db)
    stay = sys.stdout.isatty() and not arguments.exit
    screen = console()
    live = Live(console=screen, auto_refresh=False) if sys.stdout.isatty() else None

    def draw(run: dict[str, Any]) -> None:
        if live is not None:
            live.update(run_lines(run), refresh=True)

    def done(report: Report) -> None:
        if live is not None:
            live.stop()
        for line in _summary(report, db, stay=stay):
            print(line, flush=True)

    demonstration = Demonstration(
        db,
        python_folders(),
        Screen(draw, screen.print),
        host="127.0.0.1",
        port=arguments.port,
    )
    if live is not None:
        live.start()
    try:
        report = run_loop(demonstration.run, done, stay=stay)
    finally:
        if live is not None:
            live.stop()
    if report is None:
        return _INTERRUPTED
    return 0 if report.good else 1


def _times(number: int) -> str:
    return f"{number} time{'' if number == 1 else 's'}"


def _resumed(report: Report) -> str:
    if report.resumed == report.cuts:
        return "resumed with Last-Event-ID"
    return f"resumed {_times(report.resumed)} with Last-Event-ID"


def _summary(report: Report, db: Path, *, stay: bool) -> list[str]:
    run_id = report.run["run_id"]
    lines = [
        f"events appended  {report.appended}",
        f"gaps             {report.gaps}",
        f"repeats          {report.repeats}",
        f"connection cut   {_times(report.cuts)}, {_resumed(report)}",
        f"outcome          {report.run['status']}, {report.run['message']}",
        f"file             {db.resolve()}",
        f"URL              {report.url}/v1/runs/{run_id}",
        f"look further     curl -N {report.url}/v1/runs/{run_id}/stream",
    ]
    if stay:
        lines.append("The server stays up; Ctrl-C ends it.")
    else:
        port = report.url.rpartition(":")[2]
        again = f"progress-ledger serve --db {db} --port {port}"
        lines.append(f"The server has ended; `{again}` brings it back.")
    return lines
