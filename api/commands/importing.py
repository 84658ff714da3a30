"""``progress-ledger import``: put the finished runs of an exported bundle into this ledger.

The bundle is verified first. Not a byte of an event changes; only its position is new.
"""

import argparse
from pathlib import Path

from msgspec import to_builtins

from progress_ledger.ledger.audit.importing import ImportReport, import_bundle
from progress_ledger.ledger.ledger import open_log
from progress_ledger.ledger.sqlite import SQLiteLog

from ..console.terminal import for_people, plain, write_json
from .file import add_db, read_key, read_text
from .loop import run_loop
from .source import Commands, Usage, place_of

__all__ = ("add_parser",)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("import", help="take an exported bundle in", description=__doc__)
    add_db(parser)
    parser.add_argument("bundle", metavar="EVENTS", help="the events file; its manifest lies beside it")
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="FILE", help="a checkpoint that you kept"
    )
    parser.add_argument(
        "--key", metavar="VKEY", help="the public key that must have signed it, or a file with it"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    report = run_loop(_import, arguments)
    if for_people(arguments.json):
        print(f"{report.runs} runs with {report.events} events imported, {report.known} were there already")
        for run_id, why in report.refused.items():
            print(f"refused {plain(run_id)}: {plain(why)}")
    else:
        write_json(to_builtins(report))
    return 1 if report.refused else 0


async def _import(arguments: argparse.Namespace) -> ImportReport:
    place = place_of(arguments.db, None)
    if place.db is None:
        raise Usage("Importing works on a ledger's file; name it with --db.")
    notes = [read_text(path) for path in arguments.checkpoint]
    key = read_key(arguments.key)
    async with open_log(place.db) as log:
        assert isinstance(log, SQLiteLog)
        return await import_bundle(log, Path(arguments.bundle), notes=notes, key=key)
