"""``progress-ledger token``: make, list and revoke the tokens of a ledger's server."""

import argparse
import re
import time

from rich.table import Table

from progress_ledger.ledger.times import format_time

from ..console.terminal import console, for_people, plain, write_json
from ..tokens import Token, TokenFile, tokens_path
from .source import DEFAULT_DB, Commands, Usage, file_of

__all__ = ("add_parser", "seconds_of")

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("token", help="make, list and revoke tokens", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a token and show it, this once")
    new.add_argument("--role", choices=("reader", "producer", "operator"), required=True)
    new.add_argument("--kind", metavar="PATTERN", help="only runs of these kinds; * and ? are wild")
    new.add_argument(
        "--expires", metavar="DURATION", type=seconds_of, help="such as 30d; never when left out"
    )
    new.add_argument("--note", help="what it is for")
    listing = actions.add_parser("list", help="show what tokens there are, not the tokens")
    revoke = actions.add_parser("revoke", help="make a token worthless; its streams end at once")
    revoke.add_argument("id", help="the token's id, as listed")
    for action in (new, listing, revoke):
        action.add_argument("--db", metavar="PATH", help=f"the ledger file the tokens are for ({DEFAULT_DB})")
        action.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=_run)


def seconds_of(text: str) -> int:
    """Seconds in a duration like ``90s``, ``15m``, ``12h``, ``30d``, ``4w``.

    Raises ArgumentTypeError when it is none.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90s, 15m, 12h, 30d or 4w")
    return int(match[1]) * _UNITS[match[2]]


def _run(arguments: argparse.Namespace) -> int:
    tokens = TokenFile(tokens_path(file_of(arguments.db)), time.time)
    if arguments.action == "new":
        expires = None if arguments.expires is None else time.time() + arguments.expires
        token, text = tokens.make(arguments.role, kinds=arguments.kind, expires=expires, note=arguments.note)
        if arguments.json:
            write_json({"token": text, **_shown(token)})
        else:
            print(f"token {token.id}, shown only this once: {text}")
    elif arguments.action == "list":
        _list(tokens, arguments)
    elif not tokens.revoke(arguments.id):
        raise Usage(f"there is no token {arguments.id!r}; `progress-ledger token list` shows their ids.")
    return 0


def _list(tokens: TokenFile, arguments: argparse.Namespace) -> None:
    kept = [_shown(token) for token in tokens.all()]
    if not for_people(arguments.json):
        for row in kept:
            write_json(row)
        return
    table = Table("id", "role", "kinds", "made", "expires", "revoked", "note")
    for row in kept:
        table.add_row(*("" if value is None else plain(str(value)) for value in row.values()))
    console().print(table)


def _shown(token: Token) -> dict[str, str | None]:
    return {
        "id": token.id,
        "role": token.role,
        "kinds": token.kinds,
        "created": format_time(token.created),
        "expires": None if token.expires is None else format_time(token.expires),
        "revoked": None if token.revoked is None else format_time(token.revoked),
        "note": token.note,
    }
