"""What the commands about a ledger's file share: opening it, keys, checkpoints, ages and times."""

import argparse
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from progress_ledger.ledger.audit.note import Signer, VerifierKey, parse_signer, parse_verifier_key
from progress_ledger.ledger.errors import ReadOnly, Unavailable
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.times import format_time, normalise_time

from .source import Usage, place_of

__all__ = ("add_db", "age", "db_of", "moment", "open_file", "read_key", "read_signer", "read_text")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"(\d{1,6})([smhdw])")


def add_db(parser: argparse.ArgumentParser) -> None:
    """``--db`` and ``--json``, for commands that work on a file alone."""
    parser.add_argument("--db", metavar="PATH", help="the ledger file (default: progress.db)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, also on a terminal")


def db_of(db: str | None) -> Path:
    """The file that was meant. Raises Usage when a server was, Unavailable when there is none."""
    place = place_of(db, None)
    if place.db is None:
        raise Usage("This command works on a ledger's file; name it with --db.")
    if not place.db.exists():
        raise Unavailable(f"There is no ledger at {place.db}; name another with --db.")
    return place.db


@asynccontextmanager
async def open_file(path: Path) -> AsyncGenerator[SQLiteLog, None]:
    """The log in an existing file, for reading only where it cannot be written."""
    try:
        opened = SQLiteLog.open(path, now=time.time())
        log = await opened.__aenter__()
    except ReadOnly:
        async with SQLiteLog.open(path, now=time.time(), read_only=True) as log:
            yield log
        return
    try:
        yield log
    finally:
        await opened.__aexit__(None, None, None)


def age(text: str) -> float:
    """``90d`` as seconds; for argparse."""
    found = _AGE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write a number and s, m, h, d or w, as in 90d")
    return float(int(found[1]) * _UNITS[found[2]])


def moment(text: str) -> str:
    """A time, or an age like ``7d`` counted back from now, in the log's own form; for argparse."""
    if _AGE.fullmatch(text):
        return format_time(time.time() - age(text))
    try:
        return normalise_time(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write 2026-11-21, an RFC 3339 time or 7d"
        ) from None


def read_text(path: str) -> str:
    """A small text file. Raises OSError, and Usage when it is not text."""
    try:
        return Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        raise Usage(f"{path} is not a text file.") from None


def read_signer(path: str | None) -> Signer | None:
    """The private key in a file, None without one. Raises InvalidNote or AuditExtraMissing."""
    return None if path is None else parse_signer(read_text(path))


def read_key(text: str | None) -> VerifierKey | None:
    """A public key as it was published, or the file that holds it. Raises InvalidNote."""
    if text is None:
        return None
    return parse_verifier_key(read_text(text) if Path(text).is_file() else text)
