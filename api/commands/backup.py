"""``progress-ledger backup``: copy a ledger while it is in use, or put a copy into use.

The copy is verified before it gets its name. It is a log with a new epoch, so that clients of the lost log
begin again from a snapshot; --restore gives the old epoch back only when nothing can be missing.
"""

import argparse
import time
from pathlib import Path

from msgspec import to_builtins

from progress_ledger.ledger.audit.backup import backup, restore
from progress_ledger.ledger.audit.note import parse_checkpoint

from ..console.terminal import for_people, write_json
from .file import add_db, db_of, read_text
from .source import Commands, Usage, place_of

__all__ = ("add_parser",)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "backup", help="copy a ledger in use, or restore a copy", description=__doc__
    )
    add_db(parser)
    parser.add_argument("target", nargs="?", metavar="FILE", help="the copy to write")
    parser.add_argument(
        "--restore", metavar="FILE", help="a copy to put in the place of --db, which must be free"
    )
    parser.add_argument(
        "--lost", metavar="FILE", help="with --restore: the old log's file, if it can still be read"
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="FILE",
        help="with --restore: a checkpoint of the log's very end",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if (arguments.target is None) == (arguments.restore is None):
        raise Usage(
            "Name the copy to write (backup FILE), or the one to put into use (backup --restore FILE)."
        )
    if arguments.target is not None:
        report = backup(db_of(arguments.db), Path(arguments.target), now=time.time())
        said = f"{report.size} events copied to {report.path}, verified; its epoch is {report.epoch}"
    else:
        place = place_of(arguments.db, None)
        if place.db is None:
            raise Usage("Restoring writes a ledger's file; name it with --db.")
        heads = tuple(parse_checkpoint(read_text(path)) for path in arguments.checkpoint)
        lost = None if arguments.lost is None else Path(arguments.lost)
        report = restore(Path(arguments.restore), place.db, heads=heads, lost=lost, now=time.time())
        said = f"{report.size} events in {report.path}; " + (
            f"nothing is missing, it goes on as {report.epoch}"
            if report.proven
            else f"events may be missing, so it is a new log: epoch {report.epoch}"
        )
    if for_people(arguments.json):
        print(said)
    else:
        write_json(to_builtins(report))
    return 0
