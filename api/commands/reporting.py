"""The options with which ``exec`` and ``pipe`` describe their run, and the run they open."""

import argparse
import os
from typing import Any

from progress_ledger.ledger import OpenRun, open_run

from .source import Usage, add_source, place_of

__all__ = ("add_run_options", "open_described")


def add_run_options(parser: argparse.ArgumentParser, *, kind: str) -> None:
    """Which ledger, and what the run is; ``kind`` says what kind it is by default."""
    add_source(parser)
    parser.add_argument("--kind", help=f"what sort of job this is ({kind})")
    parser.add_argument("--scope", help="what it works on")
    parser.add_argument("--title", help="a name for people")
    parser.add_argument("--run-id", metavar="ID", help="the run's id; made up when left out")
    parser.add_argument("--total", type=_count, metavar="N", help="how much there is to do")
    parser.add_argument("--slot", help="a place only one active run may hold")
    parser.add_argument(
        "--label", action="append", default=[], metavar="KEY:VALUE", help="may be given several times"
    )
    parser.add_argument("--retry-of", metavar="RUN", help="the run this one tries again")
    parser.add_argument("--strict", action="store_true", help="fail when the ledger cannot be written")


def open_described(arguments: argparse.Namespace, *, kind: str, **more: Any) -> OpenRun:
    """The run that the options describe. Raises Usage and what :func:`open_run` raises."""
    labels: dict[str, str] = {}
    for label in arguments.label:
        key, mark, value = label.partition(":")
        if not mark or not key:
            raise Usage(f"--label {label!r} is not KEY:VALUE.")
        labels[key] = value
    place = place_of(arguments.db, arguments.url)
    ledger: str | os.PathLike[str] = place.url if place.url is not None else place.db or ""
    described: dict[str, Any] = {
        "ledger": ledger,
        "run_id": arguments.run_id,
        "scope": arguments.scope,
        "title": arguments.title,
        "total": arguments.total,
        "slot": arguments.slot,
        "labels": labels,
        "retry_of": arguments.retry_of,
        "strict": arguments.strict,
    }
    return open_run(arguments.kind or kind, **described | more)


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return value
