"""``progress-ledger diff``: what changed in a run between two points of its history."""

import argparse
from typing import Any
from urllib.parse import urlencode

import msgspec
from rich.table import Table
from rich.text import Text

from progress_ledger.ledger.codec import ascii_json

from ..console.client import get
from ..console.terminal import console, for_people, plain, write_json
from .loop import run_loop
from .source import Commands, add_options, open_source, path_of

__all__ = ("add_parser", "differences")

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("diff", help="what changed in a run between two points", description=__doc__)
    add_options(parser)
    parser.add_argument("run_id", metavar="RUN")
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="a version (v7), a position (1042) or a time")
    parser.set_defaults(run=_run)


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[object, object]]:
    """Fields whose values differ, with both values; stages by their names, counts by theirs."""
    flat = _flat(before), _flat(after)
    names = [*flat[1], *(name for name in flat[0] if name not in flat[1])]
    return {
        name: (flat[0].get(name), flat[1].get(name))
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    }


def _flat(run: dict[str, Any]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in run.items():
        if name == "stages":
            for stage in value:
                found |= {
                    f"stages.{stage['name']}.{key}": each for key, each in stage.items() if key != "name"
                }
        elif name in ("counts", "labels"):
            found |= {f"{name}.{key}": each for key, each in value.items()}
        else:
            found[name] = value
    return found


def _run(arguments: argparse.Namespace) -> int:
    before, after = run_loop(_both, arguments)
    changes = differences(before, after)
    if not for_people(arguments.json):
        write_json(
            {"run_id": arguments.run_id, "a": before["version"], "b": after["version"], "changes": changes}
        )
        return 0
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("field", f"v{before['version']}", f"v{after['version']}"):
        table.add_column(name, overflow="fold")
    for name, values in changes.items():
        table.add_row(Text(plain(name)), *(Text(plain(ascii_json(value).decode())) for value in values))
    console().print(table)
    return 0


async def _both(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    target = path_of(arguments.run_id)
    async with open_source(arguments.db, arguments.url) as source:
        return [
            _decode(await get(source, f"{target}?{urlencode({'at': at})}"))
            for at in (arguments.a, arguments.b)
        ]
