"""``progress-ledger export``: events with their proof, or in other forms.

With ``--output FILE`` the events are in FILE and their proof in FILE.manifest.json; anybody can check the two
with the script that ``--verifier`` prints, without this program.
"""

import argparse
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from progress_ledger.ledger.audit.bundle import verifier_script
from progress_ledger.ledger.audit.export import (
    Format,
    export_events,
    export_proven,
    manifest_path,
    write_whole,
)
from progress_ledger.ledger.sqlite.export import Selection

from ..console.terminal import write_json
from .file import add_db, db_of, moment, open_file, read_signer
from .loop import run_loop
from .source import Commands, Usage

__all__ = ("add_parser",)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("export", help="hand out events, provable offline", description=__doc__)
    add_db(parser)
    what = parser.add_argument_group("what")
    what.add_argument("--run", dest="chosen_run", metavar="RUN", help="one run")
    what.add_argument("--kind", help="all runs of a kind")
    what.add_argument(
        "--since", type=moment, metavar="TIME", help="events from then on: a time, or an age like 7d"
    )
    what.add_argument("--all", action="store_true", help="the whole log")
    what.add_argument(
        "--verifier", action="store_true", help="print the independent verifier (Python, stdlib only)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write there, and the proof beside it")
    parser.add_argument(
        "--manifest", metavar="FILE", help="write the proof of what goes to standard output there"
    )
    parser.add_argument("--gzip", action="store_true", help="pack the events")
    parser.add_argument(
        "--key", metavar="FILE", help="sign the checkpoint of the proof with this private key"
    )
    parser.add_argument(
        "--format",
        choices=("ndjson", "cloudevents", "csv", "parquet"),
        default="ndjson",
        help="ndjson (the default) is what can be proven; the others are for reading on",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.verifier:
        sys.stdout.write(verifier_script())
        return 0
    selection = _selection(arguments)
    if arguments.format == "parquet" and arguments.output is None and sys.stdout.isatty():
        raise Usage("Parquet is not for a terminal; name a file with --output.")
    run_loop(_export, arguments, selection)
    return 0


def _selection(arguments: argparse.Namespace) -> Selection:
    run: str | None = arguments.chosen_run
    chosen = [run is not None, arguments.kind is not None, arguments.since is not None]
    if arguments.all == any(chosen) or (chosen[0] and any(chosen[1:])):
        raise Usage(
            "Say what to export: --run RUN, --kind KIND, --since TIME (the last two together too), or --all."
        )
    return Selection(run=run, kind=arguments.kind, since=arguments.since)


async def _export(arguments: argparse.Namespace, selection: Selection) -> None:
    proven = arguments.format == "ndjson"
    output = Path(arguments.output) if arguments.output is not None else None
    if output is not None and arguments.gzip and output.suffix != ".gz":
        output = output.with_name(output.name + ".gz")
    async with open_file(db_of(arguments.db)) as log:
        with _opened(output, packed=arguments.gzip) as out:
            if not proven:
                await export_events(log, selection, out, cast("Format", arguments.format))
                return
            signer = read_signer(arguments.key)
            folder = output.parent if output is not None else None
            manifest = await export_proven(log, selection, out, now=time.time(), signer=signer, folder=folder)
        beside = manifest_path(output) if output is not None else arguments.manifest
        if beside is not None:
            with write_whole(Path(beside)) as file:
                file.writelines(manifest.chunks())
    if output is not None:
        report = {"events": manifest.events, "size": manifest.size, "root": manifest.root}
        write_json({"file": str(output), "manifest": str(beside), **report})


def _opened(output: Path | None, *, packed: bool) -> AbstractContextManager[BinaryIO]:
    if output is not None:
        return write_whole(output, packed=packed)
    if packed:
        raise Usage("--gzip goes with --output FILE; on standard output, pipe through gzip.")
    return nullcontext(sys.stdout.buffer)
