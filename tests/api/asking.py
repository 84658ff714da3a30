"""An API over a real ledger file, asked without a socket or through one."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx

from progress_ledger.api.app import create_app
from progress_ledger.api.drain import Drain
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector

BOUND = 20.0
"""Seconds that anything may take before the test gives up on it."""

PROGRAM = (sys.executable, "-c", "import sys; from progress_ledger.api.cli import main; sys.exit(main())")


class Clock:
    """The ledger's clock, moved by hand."""

    def __init__(self) -> None:
        # Whole seconds: events keep microseconds, and what is left of one would be time that passed.
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


class Api:
    """The application and what stands behind it."""

    def __init__(
        self, ledger: Ledger, projector: Projector, clock: Clock, drain: Drain, http: httpx.AsyncClient
    ) -> None:
        self.ledger = ledger
        self.projector = projector
        self.clock = clock
        self.drain = drain
        self.http = http

    async def begin(self, run_id: str, kind: str = "job", **spec: Any) -> dict[str, Any]:
        """A run by way of the API; its snapshot."""
        reply = await self.http.post("/v1/runs", json={"run_id": run_id, "kind": kind, **spec})
        assert reply.status_code == 201, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def append(self, run_id: str, *events: Mapping[str, Any], **body: Any) -> httpx.Response:
        """Events by way of the API."""
        return await self.http.post(f"/v1/runs/{run_id}/events", json={"events": list(events), **body})

    async def count(self) -> int:
        """Position of the newest event."""
        return await self.ledger.log.head()


@contextlib.asynccontextmanager
async def api(path: Path, *, loopback_only: bool = False) -> AsyncIterator[Api]:
    """The API over the ledger at ``path``."""
    clock = Clock()
    async with (
        Ledger.open(path, durability="process", clock=clock) as ledger,
        Projector.open(ledger) as projector,
    ):
        drain = Drain()
        app = create_app(ledger, projector, drain=drain, loopback_only=loopback_only)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield Api(ledger, projector, clock, drain, http)


def environment() -> dict[str, str]:
    """What a program started by a test inherits: nothing of the developer's own ledgers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROGRESS_LEDGER_")}
    return kept | {"COLUMNS": "200", "TERM": "xterm", "PYTHONWARNINGS": "error"}


class Server:
    """A ``serve`` process and its URL."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, first_line: str) -> None:
        self.process = process
        self.url = url
        self.first_line = first_line

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; the exit status."""
        self.process.send_signal(sign)
        with anyio.fail_after(BOUND):
            return await self.process.wait()

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@contextlib.asynccontextmanager
async def serving(path: Path, *options: str) -> AsyncIterator[Server]:
    """A server process on the ledger at ``path``, killed at the end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "serve",
        "--db",
        str(path),
        "--port",
        "0",
        *options,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        with anyio.fail_after(BOUND):
            line = (await process.stdout.readline()).decode()
        found = re.fullmatch(r"listening on (http://\S+)\n", line)
        if found is None:
            assert process.stderr is not None
            raise AssertionError(line + (await process.stderr.read()).decode())
        yield Server(process, found[1], line)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        # The transport of a pipe that was not read to its end would be closed by the garbage collector.
        process._transport.close()  # type: ignore[attr-defined]  # asyncio has no public way


class Done:
    """How a program ended."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status = status
        self.output = output
        self.errors = errors


async def program(*arguments: str, cwd: Path, **more: str) -> Done:
    """Run ``progress-ledger`` with these arguments to its end, its output no terminal."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        cwd=cwd,
        env=environment() | more,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    with anyio.fail_after(BOUND * 2):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, output.decode(), errors.decode())


async def on_terminal(
    *arguments: str,
    cwd: Path,
    columns: int = 120,
    until: str | None = None,
    keys: bytes = b"",
    told: signal.Signals | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run ``progress-ledger`` with a terminal for its output; both streams come back as one text.

    When the output shows ``until``, ``keys`` are typed and the signal ``told`` is sent.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    known = {name: value for name, value in environment().items() if name != "COLUMNS"}
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *arguments,
        cwd=cwd,
        env=known | dict(env or {}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    output = b""
    try:
        with anyio.fail_after(BOUND * 2):
            while True:
                try:
                    await anyio.wait_readable(ours)
                    part = os.read(ours, 65_536)
                except OSError:  # the other end is closed
                    break
                if not part:
                    break
                output += part
                if until is not None and until.encode() in output:
                    os.write(ours, keys)
                    if told is not None:
                        process.send_signal(told)
                    until = None
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
    return Done(status, output.decode(), "")


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def seen(output: str) -> str:
    """Terminal output without its escape sequences."""
    return ESCAPES.sub("", output).replace("\r\n", "\n")
