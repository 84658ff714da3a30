"""``progress-ledger watch``: follow a run, or all active ones, until the end. Exit status 0: completed."""

import argparse
from typing import Any
from urllib.parse import quote

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from .cli_source import Commands, add_options, open_source
from .client import get
from .loop import run_loop
from .sse_client import Frame, follow
from .terminal import console, ended, for_people, run_lines, runs_table, write_json
from .watching import Viewer

__all__ = ("add_parser",)

_SHOWN = 30


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("watch", help="follow a run until it ends", description=__doc__)
    add_options(parser)
    parser.add_argument("run_id", metavar="RUN", nargs="?", help="without it: all active runs, until Ctrl-C")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.run_id is not None:
        run = run_loop(_watch, arguments)
        return 0 if run.get("status") == "completed" else 1
    try:
        run_loop(_watch, arguments)
    except KeyboardInterrupt:
        pass
    return 0


async def _watch(arguments: argparse.Namespace) -> dict[str, Any]:
    screen = _Screen(arguments.run_id, people=for_people(arguments.json))
    pace = "?every=250ms" if screen.people else ""
    async with open_source(arguments.db, arguments.url) as source:
        with screen:
            if arguments.run_id is None:
                await follow(source, f"/v1/stream{pace}", screen.show, lost=screen.lost)
            else:
                target = f"/v1/runs/{quote(arguments.run_id, safe='')}"
                await get(source, target)
                await follow(source, f"{target}/stream{pace}", screen.show, lost=screen.lost)
    return screen.last


class _Screen:
    def __init__(self, run_id: str | None, *, people: bool) -> None:
        self.people = people
        self.last: dict[str, Any] = {}
        self._run_id = run_id
        self._viewer = Viewer()
        self._trouble = ""
        self._live = Live(console=console(), auto_refresh=False) if people else None

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.start()

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, frame: Frame) -> bool:
        run = self._viewer.take(frame)
        self._trouble = ""
        if run is not None:
            self.last = run
            if not self.people:
                write_json(run)
        self._draw()
        return self._run_id is None or not frame.final

    def lost(self, reason: str, seconds: float) -> None:
        self._trouble = f"{reason} Trying again in {seconds:.0f} s."
        self._draw()

    def _draw(self) -> None:
        if self._live is None:
            return
        if self._run_id is None:
            runs = list(self._viewer.runs.values())
            active = [run for run in runs if not ended(run)]
            over = [run for run in runs if ended(run)]
            shown = (active + over[::-1])[:_SHOWN]
            width = self._live.console.width
            view: RenderableType = runs_table(shown, width=width) if shown else Text("no active runs", "dim")
        else:
            view = run_lines(self.last) if self.last else Text("waiting for the run", "dim")
        self._live.update(Group(view, Text(self._trouble, "yellow")) if self._trouble else view, refresh=True)
