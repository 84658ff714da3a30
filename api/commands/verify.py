"""``progress-ledger verify``: is this history what it was?

A file or a copy of one, an exported bundle, or a server's log over HTTP. Without a checkpoint that you kept,
or a public key that you trust, the answer is only that the history agrees with itself: whoever owns a file
can write another one that does.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from progress_ledger.ledger.audit.note import VerifierKey
from progress_ledger.ledger.audit.verdict import BundleReport, verify_bundle
from progress_ledger.ledger.audit.verify import Finding
from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.verify import FileReport, verify_file
from progress_ledger.projections.audit import check_states

from ..console.terminal import for_people, plain, write_json
from .file import read_key, read_text
from .loop import run_loop
from .source import Commands, Usage, add_options, place_of, server_at
from .verify_url import verify_url

__all__ = ("add_parser", "verify_path")

_SQLITE = b"SQLite format 3\x00"


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("verify", help="check that a history is what it was", description=__doc__)
    add_options(parser)
    parser.add_argument(
        "target", nargs="?", help="a ledger file, an exported events file, or a URL (default: --db)"
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="FILE",
        help="a checkpoint that you kept; may be given again",
    )
    parser.add_argument("--key", metavar="VKEY", help="the log's public key, or a file with it")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    key = read_key(arguments.key)
    notes = [read_text(path) for path in arguments.checkpoint]
    target: str | None = arguments.target
    url = target if target is not None and target.startswith(("http://", "https://")) else None
    place = place_of(arguments.db if url is None and target is None else target, url or arguments.url)
    if url is not None or (place.url is not None and target is None):
        try:
            transport = server_at(url or place.url or "")
        except ValueError as error:
            raise Usage(str(error)) from None
        report: FileReport | BundleReport = run_loop(verify_url, transport, notes=notes, key=key)
    else:
        path = Path(target) if target is not None else place.db
        assert path is not None
        report = verify_path(path, notes=notes, key=key)
    if for_people(arguments.json):
        _tell(report)
    else:
        write_json(msgspec.to_builtins(report))
    return 0 if report.ok else 1


def verify_path(
    path: Path, *, notes: Sequence[str] = (), key: VerifierKey | None = None
) -> FileReport | BundleReport:
    """The verdict on a ledger's file, stored snapshots included, or on an exported bundle.

    Raises Unavailable, and BundleDamaged for a manifest that is none.
    """
    if not path.is_file():
        raise Unavailable(f"There is nothing to verify at {path}; name a ledger's file, an export or a URL.")
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            return verify_bundle(path, notes=notes, key=key)
    report = verify_file(path, notes=notes, key=key)
    if report.ok:
        report.findings += run_loop(_check_states, path)
        report.ok = not report.findings
    return report


async def _check_states(path: Path) -> list[Finding]:
    async with SQLiteLog.open(path, now=0.0, read_only=True) as log:
        return await check_states(log)


def _tell(report: FileReport | BundleReport) -> None:
    for finding in report.findings:
        where = f"position {finding.position}" if finding.position is not None else "the log"
        if finding.run_id:
            where += f", run {plain(finding.run_id)}"
        if finding.start is not None:
            where += f", from byte {finding.start}" + (
                f" to {finding.end}" if finding.end is not None else ""
            )
        print(f"{finding.kind}: {where}: {plain(finding.message)}")
    if report.ok:
        print(f"verified: {report.size} events, root {report.root[:16]}…, as far as {report.trusted_by} goes")
    else:
        print(f"NOT verified: the first {report.trusted} events can still be trusted, by {report.trusted_by}")
