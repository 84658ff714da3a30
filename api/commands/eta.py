"""``progress-ledger eta``: how good the ETAs of a kind have been, and why a run's is what it is."""

import argparse
from typing import Any
from urllib.parse import quote

import msgspec

from ..console.client import get
from ..console.terminal import console, duration, for_people, plain, write_json
from .loop import run_loop
from .source import Commands, Usage, add_options, open_source, path_of

__all__ = ("add_parser", "kind_lines", "run_lines")

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "eta", help="how good ETAs are, and why one is what it is", description=__doc__
    )
    add_options(parser)
    parser.add_argument(
        "kind", metavar="KIND", nargs="?", help="what is known of a kind; all kinds without it"
    )
    parser.add_argument("--explain", metavar="RUN", help="why this run's ETA is what it is")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.kind is not None and arguments.explain is not None:
        raise Usage("Ask for a kind or for a run with --explain, not for both.")
    run_loop(_eta, arguments)
    return 0


async def _eta(arguments: argparse.Namespace) -> None:
    if arguments.explain is not None:
        target = f"{path_of(arguments.explain)}/eta"
    elif arguments.kind is not None:
        target = f"/v1/kinds/{quote(arguments.kind, safe='')}"
    else:
        target = "/v1/kinds"
    async with open_source(arguments.db, arguments.url) as source:
        found = _decode(await get(source, target))
    if not for_people(arguments.json):
        for value in found.get("kinds", [found]):
            write_json(value)
        return
    lines = run_lines(found) if arguments.explain is not None else []
    if arguments.explain is None:
        for kind in found.get("kinds", [found]):
            lines += kind_lines(kind)
    for line in lines or ["No run has ended yet."]:
        console().print(line, markup=False, highlight=False)


def kind_lines(kind: dict[str, Any]) -> list[str]:
    """A kind for people."""
    accuracy = kind["accuracy"]
    ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(kind["ended"].items()))
    lines = [f"{plain(kind['kind'])}: {ended or 'no run has ended yet'}"]
    if kind["typical_seconds"] is not None:
        size = f" for {kind['typical_total']:,}" if kind["typical_total"] else ""
        lines.append(f"  typical duration  {duration(kind['typical_seconds'])}{size}")
    lines += [
        f"    {plain(stage['name'])}  {duration(stage['seconds'])}, {stage['weight']:.0%}"
        for stage in kind["stages"]
    ]
    if accuracy["within_20_percent"] is not None:
        lines.append(
            f"  past ETAs         within 20 % of the truth {accuracy['within_20_percent']:.0%} of the time, "
            f"last {accuracy['runs']} runs"
        )
    for run in kind.get("runs", ()):
        said = ", ".join(
            f"{told['at_percent']} %: {duration(told['eta_seconds'])} said, "
            f"{duration(told['actual_seconds'])} true"
            for told in run["predictions"]
        )
        lines.append(f"  {plain(run['run_id'])}  {duration(run['seconds'])}  {said}")
    return lines


def run_lines(run: dict[str, Any]) -> list[str]:
    """A run's ETA for people."""
    left = duration(run["eta_seconds"])
    if run["eta_low"] is not None:
        left += f" ({duration(run['eta_low'])} to {duration(run['eta_high'])})"
    basis = f", by {run['eta_basis']}" if run["eta_basis"] else ""
    lines = [f"{plain(run['run_id'])} ({plain(run['kind'])}): {left} left{basis}"]
    lines += [f"  {sentence}" for sentence in run["because"]]
    lines += [
        f"  at {told['at_percent']} % it said {duration(told['eta_seconds'])}" for told in run["predictions"]
    ]
    return lines
