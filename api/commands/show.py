"""``progress-ledger show``: one run, as it is now or as it was."""

import argparse
from typing import Any
from urllib.parse import urlencode

import msgspec

from ..console.client import get
from ..console.terminal import console, for_people, run_table, write_json
from .loop import run_loop
from .source import Commands, add_options, open_source, path_of

__all__ = ("add_parser",)

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("show", help="show one run", description=__doc__)
    add_options(parser)
    parser.add_argument("run_id", metavar="RUN")
    parser.add_argument("--at", metavar="WHEN", help="as it was: a version (v7), a position or a time")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    run_loop(_show, arguments)
    return 0


async def _show(arguments: argparse.Namespace) -> None:
    target = path_of(arguments.run_id)
    if arguments.at is not None:
        target += "?" + urlencode({"at": arguments.at})
    async with open_source(arguments.db, arguments.url) as source:
        run = _decode(await get(source, target))
    if for_people(arguments.json):
        console().print(run_table(run))
    else:
        write_json(run)
