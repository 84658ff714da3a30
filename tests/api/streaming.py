"""Streams driven as an ASGI server drives them, with a receive and a send of the test's own.

A connection here can stand still in the middle of a frame, go away, and come back, and what it got is read
by a parser that accepts only the form the streams promise.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import anyio.abc
from starlette.types import ASGIApp, Message, Scope

from progress_ledger.api.app import create_app
from progress_ledger.api.drain import Drain
from progress_ledger.api.streams.stream import StreamSettings
from progress_ledger.ledger.events import RunSpec
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from tests.api.asking import BOUND, Clock

_FRAME = re.compile(
    rb"(?:retry: (?P<retry>[0-9]+)\n)?"
    rb"event: (?P<event>[a-z_]+)\n"
    rb"data: (?P<data>[ -~]+)\n"
    rb"(?:id: (?P<id>[ -~]+)\n)?\n"
)


class Frame:
    """A frame as it came. ``raw`` are its bytes."""

    def __init__(self, raw: bytes, event: str, data: Any, id: str | None, retry: int | None) -> None:  # noqa: A002
        self.raw = raw
        self.event = event
        self.data = data
        self.id = id
        self.retry = retry

    def __repr__(self) -> str:
        return f"<{self.event} {self.id} {str(self.data)[:200]}>"

    @property
    def position(self) -> int:
        """The position in its id."""
        assert self.id is not None, self
        return int(self.id.rpartition("-")[2])


def parse(received: bytes) -> tuple[list[Frame], int, bytes]:
    """The whole frames, the number of keep-alives between them, and what is left. Refuses any other form."""
    frames: list[Frame] = []
    alive = 0
    at = 0
    while at < len(received):
        if received.startswith(b":\n", at):
            alive += 1
            at += 2
            continue
        end = received.find(b"\n\n", at)
        if end < 0:
            break
        raw = received[at : end + 2]
        found = _FRAME.fullmatch(raw)
        assert found is not None, raw
        frames.append(
            Frame(
                raw,
                found["event"].decode(),
                json.loads(found["data"]),
                None if found["id"] is None else found["id"].decode(),
                None if found["retry"] is None else int(found["retry"]),
            )
        )
        at = end + 2
    return frames, alive, received[at:]


class Connection:
    """One request for a stream and all that came of it."""

    def __init__(self, app: ASGIApp, scope: Scope, tasks: anyio.abc.TaskGroup) -> None:
        self.received = b""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self.done = anyio.Event()
        self.gone = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.sends = 0
        self._news = asyncio.Event()
        self._requested = False
        tasks.start_soon(self._run, app, scope)

    @property
    def frames(self) -> list[Frame]:
        """The whole frames so far."""
        return parse(self.received)[0]

    @property
    def keep_alives(self) -> int:
        return parse(self.received)[1]

    def named(self, *names: str) -> list[Frame]:
        """The frames of those events."""
        return [frame for frame in self.frames if frame.event in names]

    @property
    def events(self) -> list[Frame]:
        """The frames that carry an event of the log."""
        return [frame for frame in self.frames if "event" in frame.data]

    @property
    def cursor(self) -> str | None:
        """The id of the last whole frame that had one."""
        return next((frame.id for frame in reversed(self.frames) if frame.id is not None), None)

    async def until(self, holds: Callable[[Connection], bool]) -> Connection:
        """Wait for it, with a bound."""
        with anyio.fail_after(BOUND):
            while not holds(self):
                self._news.clear()
                await self._news.wait()
        return self

    async def finished(self) -> Connection:
        """Wait until the server has ended the response."""
        with anyio.fail_after(BOUND):
            await self.done.wait()
        return self

    def pause(self) -> None:
        """Stand still: the server's next send waits."""
        self.open.clear()

    def go_on(self) -> None:
        self.open.set()

    async def cut(self) -> None:
        """Go away, and see that the server lets go of everything."""
        self.gone.set()
        self.open.set()
        await self.finished()

    async def _receive(self) -> Message:
        if not self._requested:
            self._requested = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sends += 1
        self._news.set()
        await self.open.wait()
        if self.gone.is_set():
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.received += message.get("body", b"")
            self.ended = not message.get("more_body", False)
        self._news.set()

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            self.done.set()
            self._news.set()


class Hub:
    """A ledger, its projector, and the application over them."""

    def __init__(
        self,
        ledger: Ledger,
        projector: Projector,
        clock: Clock,
        settings: StreamSettings,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self.ledger = ledger
        self.projector = projector
        self.clock = clock
        self.drain = Drain()
        self.app = create_app(ledger, projector, drain=self.drain, streams=settings)
        self._tasks = tasks

    def connect(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        last_event_id: str | None = None,
        method: str = "GET",
    ) -> Connection:
        """Ask for ``path`` (a run's id is enough)."""
        if not path.startswith("/"):
            path = f"/v1/runs/{path}/stream"
        headers = [(b"host", b"127.0.0.1")]
        if last_event_id is not None:
            headers.append((b"last-event-id", last_event_id.encode("latin-1")))
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": urlencode(query or {}, doseq=True).encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        return Connection(self.app, scope, self._tasks)

    async def begin(self, run_id: str, kind: str = "job", *, queued: bool = False, **spec: Any) -> None:
        """A run."""
        await self.ledger.create(RunSpec(kind=kind, **spec), run_id=run_id, queued=queued)

    async def snapshot(self, run_id: str) -> dict[str, Any]:
        """The run as ``GET`` shows it."""
        connection = self.connect(f"/v1/runs/{run_id}")
        await connection.finished()
        found: dict[str, Any] = json.loads(connection.received)
        return found


@contextlib.asynccontextmanager
async def hub(
    path: Path | str, settings: StreamSettings | None = None, clock: Clock | None = None
) -> AsyncIterator[Hub]:
    """The application over the ledger at ``path``; connections that are still open are cut at the end."""
    clock = clock or Clock()
    async with (
        Ledger.open(path, durability="process", clock=clock) as ledger,
        Projector.open(ledger) as projector,
        anyio.create_task_group() as tasks,
    ):
        yield Hub(ledger, projector, clock, settings or StreamSettings(), tasks)
        tasks.cancel_scope.cancel()
