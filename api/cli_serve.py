"""``progress-ledger serve``: the HTTP API over a ledger file."""

import argparse

from .cli_source import DEFAULT_DB, Commands, Usage, file_of
from .cli_upkeep import add_upkeep, upkeep_of
from .loop import run_loop
from .server import Exposed, serve

__all__ = ("add_parser",)


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("serve", help="serve a ledger over HTTP", description=__doc__)
    parser.add_argument("--db", metavar="PATH", help=f"the ledger file, made when missing ({DEFAULT_DB})")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=8000, help="0 takes any free one (%(default)s)")
    parser.add_argument(
        "--durability",
        choices=("power", "process"),
        default="power",
        help="what a receipt survives: the loss of power, or only the end of this process",
    )
    add_upkeep(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        run_loop(
            serve,
            file_of(arguments.db),
            host=arguments.host,
            port=arguments.port,
            durability=arguments.durability,
            beside=upkeep_of(arguments),
            listening=lambda url: print(f"listening on {url}", flush=True),
        )
    except Exposed as error:
        raise Usage(str(error)) from None
    return 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port
