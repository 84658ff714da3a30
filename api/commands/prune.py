"""``progress-ledger prune``: archive finished runs, then remove their events from the ledger.

What is archived can be verified and shown like any export. The ledger keeps each run's row, its place and its
hashes, so that old checkpoints stay valid, and records the pruning itself as a run of kind ledger.prune.
"""

import argparse
import getpass
import socket
from pathlib import Path

from msgspec import to_builtins

from progress_ledger.ledger.audit.prune import PruneReport, Retention, prune
from progress_ledger.ledger.ledger import Ledger

from ..console.terminal import for_people, write_json
from .file import add_db, age, db_of, read_signer
from .loop import run_loop
from .source import Commands

__all__ = ("add_parser", "add_retention", "retention_of")


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("prune", help="archive and remove finished runs", description=__doc__)
    add_db(parser)
    parser.add_argument(
        "--older-than", type=age, required=True, metavar="AGE", help="runs that ended so long ago: 90d"
    )
    add_retention(parser)
    parser.add_argument("--reason", default="", help="why; it is written into the log")
    parser.add_argument(
        "--key", metavar="FILE", help="sign the checkpoint of the archive with this private key"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.set_defaults(run=_run)


def add_retention(parser: argparse.ArgumentParser) -> None:
    """``--keep-failed``, ``--archive`` and ``--no-archive``."""
    parser.add_argument("--keep-failed", action="store_true", help="keep the runs that failed")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--archive", metavar="DIR", help="the folder for the archives (default: DB.archive)")
    where.add_argument("--no-archive", action="store_true", help="remove without keeping a copy")


def retention_of(arguments: argparse.Namespace, db: Path, older_than: float, *, reason: str) -> Retention:
    """What the options say."""
    archive = None if arguments.no_archive else Path(arguments.archive or f"{db}.archive")
    return Retention(
        older_than=older_than,
        keep_failed=arguments.keep_failed,
        archive=archive,
        by=_who(),
        reason=reason,
    )


def _run(arguments: argparse.Namespace) -> int:
    report = run_loop(_prune, arguments)
    if not for_people(arguments.json):
        write_json(to_builtins(report))
    elif arguments.dry_run:
        print(f"{report.runs} runs with {report.events} events would go")
    else:
        print(
            f"{report.runs} runs with {report.events} events pruned; {len(report.archives)} archives written"
        )
        for archive in report.archives:
            print(archive)
    return 0


async def _prune(arguments: argparse.Namespace) -> PruneReport:
    db = db_of(arguments.db)
    signer = read_signer(arguments.key)
    retention = retention_of(arguments, db, arguments.older_than, reason=arguments.reason)
    async with Ledger.open(db) as ledger:
        return await prune(ledger, retention, signer=signer, dry_run=arguments.dry_run)


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()
