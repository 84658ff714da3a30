"""``progress-ledger log``: the events of one run, oldest first."""

import argparse
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from rich.table import Table

from ..console.client import Reply, raise_for_problem
from ..console.terminal import console, event_row, for_people, write_line
from .loop import run_loop
from .source import Commands, add_options, open_source, path_of

__all__ = ("add_parser",)

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("log", help="print the events of a run", description=__doc__)
    add_options(parser)
    parser.add_argument("run_id", metavar="RUN")
    parser.add_argument("--after", type=int, default=0, metavar="VERSION", help="only what comes after it")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    run_loop(_log, arguments)
    return 0


async def _log(arguments: argparse.Namespace) -> None:
    target = f"{path_of(arguments.run_id)}/events?after={arguments.after}"
    async with (
        open_source(arguments.db, arguments.url) as source,
        source.request("GET", target, headers={"Accept": "application/x-ndjson"}) as reply,
    ):
        if reply.status >= 400:
            raise_for_problem(reply.status, await reply.read())
        if not for_people(arguments.json):
            # The very bytes of the log: what is printed can be checked against its hashes.
            async for line in _lines(reply):
                write_line(line)
            return
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("version", "time", "event", "data"):
            table.add_column(name, overflow="fold")
        async for line in _lines(reply):
            table.add_row(*event_row(_decode(line)))
        console().print(table)


async def _lines(reply: Reply) -> AsyncIterator[bytes]:
    rest = b""
    async for part in reply:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest
