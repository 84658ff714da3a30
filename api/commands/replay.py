"""``progress-ledger replay``: watch a run again as it was seen then.

Its events are played at their own pace, or faster, through the same fold and the same view. With --serve the
page and the streams show it too.
"""

import argparse
import json
import re
import time
from contextlib import AsyncExitStack
from typing import Any

import anyio
from rich.live import Live

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.errors import RunNotFound
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.times import normalise_time, parse_time
from progress_ledger.projections.projector import Projector

from ..app import create_app
from ..console.client import raise_for_problem
from ..console.playback import Playback, PlayedEvent, VirtualClock, parse_events
from ..console.terminal import console, for_people, run_lines, write_line
from ..drain import Drain
from ..server import bind, drain_on_signals, serve_app, url_of
from .loop import run_loop
from .source import Commands, Usage, add_options, open_source, path_of

__all__ = ("add_parser",)

_FASTEST = 1e9


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("replay", help="watch a run again as it was", description=__doc__)
    add_options(parser)
    parser.add_argument("run_id", metavar="RUN")
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="10x", help="how much faster; max waits for nothing"
    )
    parser.add_argument(
        "--from", dest="begin", metavar="WHEN", help="show from there on: v7, a position or a time"
    )
    parser.add_argument("--to", dest="end", metavar="WHEN", help="stop after that")
    parser.add_argument("--serve", action="store_true", help="show it on a page and as streams, until Ctrl-C")
    parser.add_argument("--port", type=int, default=0, help="with --serve (default: any free one)")
    parser.set_defaults(run=_run)


def _speed(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text)
    if text == "max":
        return _FASTEST
    if found is None or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed; write 10x, 0.5x or max")
    return float(found[1])


def _run(arguments: argparse.Namespace) -> int:
    run_loop(_replay, arguments)
    return 0


async def _replay(arguments: argparse.Namespace) -> None:
    events = await _events(arguments)
    if arguments.end is not None:
        events = events[: _reached(events, arguments.end)]
    silent = 0 if arguments.begin is None else max(0, _reached(events, arguments.begin) - 1)
    if not events:
        raise RunNotFound(arguments.run_id)
    clock = VirtualClock(parse_time(events[0].time), speed=arguments.speed, real=time.monotonic)
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(Ledger.open(":memory:", clock=clock))
        projector = await stack.enter_async_context(Projector.open(ledger))
        playback = Playback(ledger, clock, events)
        if arguments.serve:
            await _serve(arguments, ledger, projector, playback, silent)
            return
        people = for_people(arguments.json)
        live = stack.enter_context(Live(console=console(), auto_refresh=False)) if people else None

        async def show(event: PlayedEvent) -> None:
            run = await projector.snapshot(event.run_id)
            line = ascii_json(run)
            if live is None:
                write_line(line)
            else:
                live.update(run_lines(_fields(line)), refresh=True)

        await playback.play(silent=silent, shown=show)


async def _serve(
    arguments: argparse.Namespace, ledger: Ledger, projector: Projector, playback: Playback, silent: int
) -> None:
    drain = Drain()
    listener = bind("127.0.0.1", arguments.port)
    app = create_app(ledger, projector, drain=drain, loopback_only=True)

    async def nothing(event: PlayedEvent) -> None:
        return

    async with anyio.create_task_group() as tasks:
        serving = anyio.CancelScope()
        await tasks.start(drain_on_signals, drain, serving)
        tasks.start_soon(lambda: playback.play(silent=silent, shown=nothing))
        with serving:
            url = url_of(listener)
            await serve_app(
                app, listener, drain=drain, listening=lambda: print(f"listening on {url}", flush=True)
            )
        tasks.cancel_scope.cancel()


async def _events(arguments: argparse.Namespace) -> list[PlayedEvent]:
    target = f"{path_of(arguments.run_id)}/events"
    async with (
        open_source(arguments.db, arguments.url) as source,
        source.request("GET", target, headers={"Accept": "application/x-ndjson"}) as reply,
    ):
        body = await reply.read()
        raise_for_problem(reply.status, body)
    return parse_events(body.splitlines())


def _reached(events: list[PlayedEvent], when: str) -> int:
    """How many events there are up to a point: a version, a position or a time."""
    if re.fullmatch(r"v\d{1,18}", when):
        return sum(event.version <= int(when[1:]) for event in events)
    if re.fullmatch(r"\d{1,18}", when):
        return sum(event.position <= int(when) for event in events)
    try:
        moment = normalise_time(when)
    except ValueError:
        raise Usage(f"{when!r} is no point of a run; write v7, a position or a time.") from None
    return sum(event.time <= moment for event in events)


def _fields(line: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(line)
    return fields
