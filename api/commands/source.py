"""Where a command takes its runs from: a server, or a ledger file without one."""

import argparse
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote

from progress_ledger.ledger.door import check_run_id
from progress_ledger.ledger.errors import InvalidRun, RunNotFound
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector

from ..app import create_app
from ..console.client import AppTransport, SocketTransport, Transport, split_url

__all__ = (
    "DEFAULT_DB",
    "Commands",
    "Place",
    "Usage",
    "add_options",
    "add_source",
    "file_of",
    "open_source",
    "path_of",
    "place_of",
    "server_at",
)

DEFAULT_DB = "progress.db"

_SHOWN = 200


class Commands(Protocol):
    """What each command adds its parser to: argparse has no public name for it."""

    def add_parser(self, name: str, *, help: str, description: str | None) -> argparse.ArgumentParser:  # noqa: A002
        """A parser for the command ``name``."""
        ...


class Usage(Exception):
    """The command was used wrongly; its text says how."""


class Place(NamedTuple):
    """Exactly one of the two is given."""

    db: Path | None
    url: str | None


def add_source(parser: argparse.ArgumentParser) -> None:
    """``--db`` and ``--url``."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--db", metavar="PATH", help=f"the ledger file ({DEFAULT_DB}); needs no server")
    group.add_argument("--url", help="a server, as http://HOST:PORT")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every command that reads has: ``--db``, ``--url`` and ``--json``."""
    add_source(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, also on a terminal")


def place_of(db: str | None, url: str | None) -> Place:
    """What was asked for, else PROGRESS_LEDGER_DB, else PROGRESS_LEDGER_URL, else the default file.

    Raises Usage for a URL that is none.
    """
    if db is None and url is None:
        db = os.environ.get("PROGRESS_LEDGER_DB") or None
        url = None if db else os.environ.get("PROGRESS_LEDGER_URL") or None
    if url is not None:
        try:
            split_url(url)
        except ValueError as error:
            raise Usage(str(error)) from None
        return Place(None, url)
    return Place(Path(db or DEFAULT_DB), None)


def file_of(db: str | None) -> Path:
    """The file for a command that needs one: what was asked for, else PROGRESS_LEDGER_DB, else the
    default."""
    return Path(db or os.environ.get("PROGRESS_LEDGER_DB") or DEFAULT_DB)


def path_of(run_id: str) -> str:
    """The address of the run in the API. Raises RunNotFound for what can be the id of none."""
    try:
        return f"/v1/runs/{quote(check_run_id(run_id), safe='')}"
    except InvalidRun:
        # Asked as it stands it would be another address: the list, the newest run, or none.
        raise RunNotFound(run_id[:_SHOWN]) from None


def server_at(url: str) -> SocketTransport:
    """The server there, which gets PROGRESS_LEDGER_TOKEN. Raises ValueError for a URL that is none."""
    return SocketTransport(url, token=os.environ.get("PROGRESS_LEDGER_TOKEN") or None)


@asynccontextmanager
async def open_source(db: str | None, url: str | None) -> AsyncGenerator[Transport, None]:
    """The API of that place. A file is only read, and must be there; a server gets PROGRESS_LEDGER_TOKEN.

    Raises Usage for a URL that is none, and what opening a ledger raises.
    """
    place = place_of(db, url)
    if place.url is not None:
        yield server_at(place.url)
        return
    assert place.db is not None
    async with Ledger.open(place.db, read_only=True) as ledger, Projector.open(ledger) as projector:
        yield AppTransport(create_app(ledger, projector))
