"""``progress-ledger ls``: the runs of a ledger, newest first."""

import argparse
from typing import Any
from urllib.parse import urlencode

import msgspec

from ..console.client import Transport, get
from ..console.terminal import console, for_people, runs_table, write_json
from .loop import run_loop
from .source import Commands, add_options, open_source

__all__ = ("add_parser",)

_PAGE = 500
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("ls", help="list runs", description=__doc__)
    add_options(parser)
    parser.add_argument("--kind", action="append", default=[], help="of this kind; may be repeated")
    parser.add_argument("--scope", help="of this scope")
    parser.add_argument("--status", action="append", default=[], help="in this status; may be repeated")
    parser.add_argument("--label", action="append", default=[], metavar="KEY:VALUE", help="so labelled")
    parser.add_argument("--parent", metavar="RUN", help="only the children of this run")
    parser.add_argument("--stalled", action="store_true", help="only runs without a sign of progress")
    parser.add_argument("-q", "--search", metavar="TEXT", help="look in id, kind, scope and title")
    parser.add_argument("--oldest", action="store_true", help="oldest first")
    parser.add_argument("--limit", type=int, default=100, help="at most so many (default: %(default)s)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.limit < 1:
        raise argparse.ArgumentTypeError("--limit is at least 1")
    run_loop(_list, arguments)
    return 0


async def _list(arguments: argparse.Namespace) -> None:
    query = [("kind", kind) for kind in arguments.kind]
    query += [("status", status) for status in arguments.status]
    query += [("label", label) for label in arguments.label]
    query += [
        (name, value)
        for name, value in (
            ("scope", arguments.scope),
            ("parent", arguments.parent),
            ("q", arguments.search),
            ("stalled", "true" if arguments.stalled else None),
            ("sort", "created" if arguments.oldest else None),
        )
        if value is not None
    ]
    people = for_people(arguments.json)
    runs: list[dict[str, Any]] = []
    async with open_source(arguments.db, arguments.url) as source:
        counts = await _collect(source, query, arguments.limit, runs, keep=people)
    if people:
        table = console()
        if runs:
            table.print(runs_table(runs, width=table.width))
        told = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
        table.print(told or "no runs", style="dim")


async def _collect(
    source: Transport, query: list[tuple[str, str]], limit: int, runs: list[dict[str, Any]], *, keep: bool
) -> dict[str, int]:
    cursor: str | None = None
    left = limit
    while True:
        page_query = [*query, ("limit", str(min(left, _PAGE)))]
        if cursor is not None:
            page_query.append(("cursor", cursor))
        page = _decode(await get(source, f"/v1/runs?{urlencode(page_query)}"))
        for run in page["runs"]:
            if keep:
                runs.append(run)
            else:
                write_json(run)
        left -= len(page["runs"])
        cursor = page["next"]
        if cursor is None or left <= 0:
            counts: dict[str, int] = page["counts"]
            return counts
