"""``progress-ledger serve``: the HTTP API over a ledger file."""

import argparse
import os
from functools import partial

from ..logs import configure
from ..server import Exposed, serve
from ..settings import PREFIX, BadSetting, Settings, read_toml, settings
from ..tracing import Traces, TracesExtraMissing
from .file import age
from .loop import run_loop
from .source import DEFAULT_DB, Commands, Usage
from .upkeep import add_upkeep, upkeep_of

__all__ = ("add_parser", "told")


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("serve", help="serve a ledger over HTTP", description=__doc__)
    parser.add_argument("--config", metavar="FILE", help="settings, as TOML")
    parser.add_argument("--db", metavar="PATH", help=f"the ledger file, made when missing ({DEFAULT_DB})")
    parser.add_argument("--host", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=_port, help="0 takes any free one (8000)")
    parser.add_argument("--uds", metavar="PATH", help="listen on this Unix socket instead")
    parser.add_argument(
        "--durability",
        choices=("power", "process"),
        help="what a receipt survives: the loss of power (the default), or only the end of this process",
    )
    several = partial(parser.add_argument, action="append")
    several("--allow-host", metavar="NAME", help="answer to this name too, which a reverse proxy passes on")
    several("--allow-origin", metavar="ORIGIN", help="let pages of this origin use the API from a browser")
    several("--trusted-proxy", metavar="ADDRESS", help="believe what this proxy says about who is calling")
    parser.add_argument("--log-format", choices=("text", "json"), help="on standard error (text)")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="(warning)")
    # Not --traces: opentelemetry-instrument would take that for one of its own options.
    parser.add_argument("--otel", action="store_true", help="OpenTelemetry traces; needs the extra otel")
    add_upkeep(parser)
    # Nothing here has a default: what was not given comes from the environment or the file.
    parser.set_defaults(**dict.fromkeys(Settings.__struct_fields__))
    parser.set_defaults(run=_run)


def told(arguments: argparse.Namespace) -> Settings:
    """The settings that the arguments, the environment and the file make. Raises Usage and OSError."""
    given = {name: getattr(arguments, name, None) for name in Settings.__struct_fields__}
    path = arguments.config or os.environ.get(f"{PREFIX}CONFIG")
    try:
        return settings(given, os.environ, read_toml(path) if path else None, file_name=path or "")
    except BadSetting as error:
        raise Usage(str(error)) from None


def _run(arguments: argparse.Namespace) -> int:
    made = told(arguments)
    configure(made.log_format, made.log_level)
    work = upkeep_of(_upkeep(made))
    try:
        run_loop(
            serve,
            made.db,
            host=made.host,
            port=made.port,
            uds=made.uds,
            allow_hosts=made.allow_host,
            allow_origins=made.allow_origin,
            trusted_proxies=made.trusted_proxy,
            limits=made.limits,
            streams=made.streams,
            traces=Traces() if made.otel else None,
            webhooks=made.webhooks,
            durability=made.durability,
            beside=work,
            listening=lambda url: print(f"listening on {url}", flush=True),
        )
    except (Exposed, TracesExtraMissing) as error:
        raise Usage(str(error)) from None
    return 0


def _upkeep(made: Settings) -> argparse.Namespace:
    if made.no_archive and made.archive is not None:
        raise Usage("archive and no_archive cannot both be given.")
    return argparse.Namespace(
        db=made.db,
        checkpoint_key=made.checkpoint_key,
        checkpoint_every=_seconds("checkpoint_every", made.checkpoint_every),
        checkpoint_events=made.checkpoint_events,
        checkpoint_at_end=made.checkpoint_at_end,
        prune_older_than=None
        if made.prune_older_than is None
        else _seconds("prune_older_than", made.prune_older_than),
        keep_failed=made.keep_failed,
        archive=made.archive,
        no_archive=made.no_archive,
    )


def _seconds(name: str, told: float | str) -> float:
    # An option's age was read where the options are; one of the environment or the file comes as it stands.
    try:
        return age(told) if isinstance(told, str) else told
    except argparse.ArgumentTypeError as error:
        raise Usage(f"{name}: {error}.") from None


def _port(text: str) -> int:
    if not text.isdecimal() or not int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no port; that is a number from 0 to 65535")
    return int(text)
