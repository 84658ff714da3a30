"""``progress-ledger watch``: follow a run, or all active ones, until the end. Exit status 0: completed."""

import argparse
import signal
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any, cast
from urllib.parse import quote

import anyio
import msgspec
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.events import CancelRequested
from progress_ledger.ledger.ledger import Ledger

from ..console import keys
from ..console.client import ConnectionLost, Refused, Transport, get, raise_for_problem
from ..console.sse_client import Frame, follow
from ..console.terminal import console, for_people, run_lines, runs_table, write_json
from ..console.watch_list import WatchList
from ..console.watch_plain import PlainLog
from ..console.watching import Viewer
from .loop import run_loop
from .source import Commands, add_options, open_source, path_of, place_of

__all__ = ("add_parser",)

_SHOWN = 30
_DRAW_SECONDS = 0.25
_NOTES = 3
_PAST = 200
"""Newest events that are looked through for notes of before."""


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("watch", help="follow a run until it ends", description=__doc__)
    add_options(parser)
    parser.add_argument("--plain", action="store_true", help="a line at each 5 %% or 30 s, for logs")
    parser.add_argument("run_id", metavar="RUN", nargs="?", help="without it: all active runs, until q")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    told: list[int] = []
    try:
        with _sigterm_like_ctrl_c(told):
            run = run_loop(_watch, arguments)
    except KeyboardInterrupt:
        if told:
            return 128 + signal.SIGTERM
        if arguments.run_id is not None:
            raise
        return 0
    return 0 if arguments.run_id is None or run.get("status") == "completed" else 1


@contextmanager
def _sigterm_like_ctrl_c(told: list[int]) -> Generator[None, None, None]:
    # So that the terminal gets its cursor and its echo back.
    def leave(number: int, frame: object) -> None:
        told.append(number)
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _watch(arguments: argparse.Namespace) -> dict[str, Any]:
    people = for_people(arguments.json)
    mode = "live" if people else "json"
    if arguments.plain or (people and console().is_dumb_terminal):
        mode = "plain"
    screen = _Screen(arguments, mode)
    run_id = arguments.run_id
    async with open_source(arguments.db, arguments.url) as source:
        target = "/v1/stream" if run_id is None else f"{path_of(run_id)}/stream"
        if run_id is not None:
            run = msgspec.json.decode(await get(source, target.removesuffix("/stream")))
            if mode == "live":
                await screen.remember(source, run)
        elif mode == "live":
            target += "?every=250ms"
        with ExitStack() as terminal:
            terminal.enter_context(screen)
            reads_keys = mode == "live" and run_id is None and keys.offered()
            if reads_keys:
                terminal.enter_context(keys.unbuffered())
                screen.hints = True
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(screen.keep_drawn)
                if reads_keys:
                    tasks.start_soon(screen.obey, source, tasks.cancel_scope)
                await follow(source, target, screen.show, lost=screen.lost)
                tasks.cancel_scope.cancel()
    return screen.last


class _Screen:
    def __init__(self, arguments: argparse.Namespace, mode: str) -> None:
        self.last: dict[str, Any] = {}
        self.hints = False
        self._arguments = arguments
        self._run_id: str | None = arguments.run_id
        self._mode = mode
        self._viewer = Viewer()
        self._list = WatchList()
        self._logs: dict[str, PlainLog] = {}
        self._trouble = ""
        self._changed = True
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._rates: deque[float] = deque(maxlen=40)
        self._live = Live(console=console(), auto_refresh=False) if mode == "live" else None

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.start()

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._draw()
            self._live.stop()

    async def remember(self, source: Transport, run: dict[str, Any]) -> None:
        """Learn the notes of before."""
        after = max(0, run["version"] - _PAST)
        target = f"/v1/runs/{quote(run['run_id'], safe='')}/events?after={after}&limit={_PAST}"
        try:
            page = msgspec.json.decode(await get(source, target))
        except (Refused, msgspec.MsgspecError):
            return
        for event in page["events"]:
            self._note(event)

    def show(self, frame: Frame) -> bool:
        run = self._viewer.take(frame)
        self._trouble = ""
        self._changed = True
        if run is not None:
            self.last = run
            told = frame.data.get("event")
            event = cast("dict[str, Any]", told) if isinstance(told, dict) else None
            if self._mode == "json":
                write_json(run)
            elif self._mode == "plain":
                log = self._logs.setdefault(run["run_id"], PlainLog())
                _print(log.take(run, event, time.time()))
            elif event is not None:
                self._note(event)
        return self._run_id is None or not frame.final

    def lost(self, reason: str, seconds: float) -> None:
        self._trouble = f"{reason} Trying again in {seconds:.0f} s."
        self._changed = True
        if self._mode == "plain":
            _print([f"waiting: {self._trouble}"])

    async def keep_drawn(self) -> None:
        """Draw what changed at most four times a second, and speak in long waits."""
        sampled = 0.0
        while True:
            now = time.time()
            if self._mode == "plain":
                for run_id, log in self._logs.items():
                    if run_id in self._viewer.runs:
                        _print(log.tick(self._viewer.runs[run_id], now))
            elif now - sampled >= 1 and self.last.get("rate") is not None:
                sampled = now
                self._rates.append(self.last["rate"])
                self._changed = True
            if self._changed:
                self._draw()
            await anyio.sleep(_DRAW_SECONDS)

    async def obey(self, source: Transport, watching: anyio.CancelScope) -> None:
        """Do what is pressed, until it is to quit."""
        async for key in keys.pressed():
            action = self._list.press(key)
            if action == "quit":
                watching.cancel()
                return
            if action == "cancel" and self._list.chosen is not None:
                self._trouble = await self._cancel(source, self._list.chosen)
            self._draw()

    async def _cancel(self, source: Transport, run_id: str) -> str:
        db = place_of(self._arguments.db, self._arguments.url).db
        try:
            if db is not None:
                # The watcher only reads the file; this one event is written by a ledger of its own.
                async with Ledger.open(db) as ledger:
                    await ledger.append(run_id, [CancelRequested(by="watch")])
            else:
                target = f"/v1/runs/{quote(run_id, safe='')}/cancel"
                async with source.request("POST", target) as reply:
                    raise_for_problem(reply.status, await reply.read())
        except (LedgerError, Refused, ConnectionLost) as error:
            return str(error)
        return f"{run_id} was asked to cancel."

    def _note(self, event: dict[str, Any]) -> None:
        if event["type"] == "noted":
            self._notes.append(event["data"]["message"])

    def _draw(self) -> None:
        self._changed = False
        if self._live is None:
            return
        lines: list[RenderableType] = [self._view(self._live.console.width, self._live.console.height)]
        if self._trouble:
            lines.append(Text(self._trouble, "yellow"))
        if self.hints:
            lines.append(Text(self._list.hint, "dim", no_wrap=True, overflow="ellipsis"))
        self._live.update(Group(*lines), refresh=True)

    def _view(self, width: int, height: int) -> RenderableType:
        if self._run_id is not None:
            if not self.last:
                return Text("waiting for the run", "dim")
            return run_lines(self.last, rates=self._rates, notes=self._notes)
        shown = self._list.show(list(self._viewer.runs.values()), max(1, min(_SHOWN, height - 4)))
        if not shown:
            return Text("no run matches" if self._list.filter else "no active runs", "dim")
        if self._list.mode == "detail" and self._list.chosen is not None:
            return run_lines(self._viewer.runs[self._list.chosen])
        return runs_table(shown, width=width, chosen=self._list.chosen if self.hints else None)


def _print(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)
