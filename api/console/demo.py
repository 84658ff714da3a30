"""The demonstration: a real job into a real ledger file, served over HTTP, followed by a client that is
cut off.

Everything goes the way it goes in earnest: the job reports through ``ledger.run``, a server answers on a
socket, and what is drawn comes from the event stream over that socket. In the middle the client drops its
connection and comes back with ``Last-Event-ID``; it counts by itself what it missed and what it got twice.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import anyio
from anyio import to_thread
from anyio.abc import TaskStatus

from progress_ledger.ledger.ids import new_run_id
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.producers.run import Run
from progress_ledger.projections.projector import Projector

from ..app import create_app
from ..drain import Drain
from ..server import bind, serve_app, url_of
from .client import ConnectionLost, SocketTransport
from .demo_job import hash_files, scan
from .sse_client import Cursor, Frame, stream
from .tally import Tally
from .terminal import ended
from .watching import Viewer

__all__ = ("Demonstration", "Report", "Screen", "follow_and_cut", "run_job")

_INTERVAL = 0.05
_AWAY_SECONDS = 0.5
_MIDDLE = 50.0


class Report(NamedTuple):
    """How it went: ``appended`` by the ledger, the rest as the client counted it.

    ``cuts`` of its connection, and how often the server ``resumed`` it by its cursor.
    """

    run: dict[str, Any]
    appended: int
    gaps: int
    repeats: int
    cuts: int
    resumed: int
    url: str

    @property
    def good(self) -> bool:
        """Whether the job completed and the client saw every event once."""
        return self.run["status"] == "completed" and self.gaps == 0 and self.repeats == 0


class Screen(NamedTuple):
    """What the demonstration shows: the ``run`` as it moves, and ``say`` for a sentence."""

    draw: Callable[[dict[str, Any]], None]
    say: Callable[[str], None]


class Demonstration:
    """The job, its server and its client, together in one event loop."""

    def __init__(self, db: Path, folders: Sequence[Path], screen: Screen, *, host: str, port: int) -> None:
        self._db = db
        self._folders = folders
        self._screen = screen
        self._host = host
        self._port = port

    async def run(self, done: Callable[[Report], None], *, stay: bool) -> Report | None:
        """Run the job to its end and call ``done``; with ``stay`` serve on until a signal comes.

        Returns None when a signal came before the job was done; the run then is ``cancelled``. Raises OSError
        when the address cannot be had, and what opening the ledger raises.
        """
        report: Report | None = None
        drain = Drain()
        with contextlib.closing(bind(self._host, self._port)) as listener:
            async with (
                Ledger.open(self._db) as ledger,
                Projector.open(ledger) as projector,
                anyio.create_task_group() as tasks,
            ):
                app = create_app(ledger, projector, drain=drain, loopback_only=True)
                up = anyio.Event()
                job = anyio.CancelScope()
                await tasks.start(_stop_on_signals, job, drain)
                served = partial(serve_app, app, listener, drain=drain, listening=up.set)
                async with anyio.create_task_group() as serving:
                    serving.start_soon(served)
                    await up.wait()
                    with job:
                        report = await self._work(ledger, url_of(listener))
                    if report is not None:
                        done(report)
                        if stay:
                            await drain.wait()
                    drain.begin()
                tasks.cancel_scope.cancel()
        return report

    async def _work(self, ledger: Ledger, url: str) -> Report:
        run_id = new_run_id()
        tally = Tally()
        followed: list[dict[str, Any]] = []
        cuts = 0

        async def follow() -> None:
            nonlocal cuts
            target = f"/v1/runs/{run_id}/stream"
            cuts = await follow_and_cut(SocketTransport(url), target, tally, self._screen, followed.append)

        async with (
            anyio.create_task_group() as tasks,
            ledger.run(
                "hash",
                run_id=run_id,
                title="SHA-256 of this Python and its packages",
                unit="bytes",
                stages=[{"name": "scan", "weight": 0.02, "unit": "files"}, {"name": "hash", "weight": 0.98}],
                interval=_INTERVAL,
            ) as run,
        ):
            tasks.start_soon(follow)
            await run_job(run, self._folders)
        final = followed[-1]
        head = await ledger.log.run(run_id)
        assert head is not None
        gaps = tally.gaps + head.version - tally.version
        return Report(final, head.version, gaps, tally.repeats, cuts, tally.resumed, url)


async def _stop_on_signals(
    job: anyio.CancelScope,
    drain: Drain,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            job.cancel()
            drain.begin()


async def run_job(run: Run, folders: Sequence[Path]) -> None:
    """Find and hash all files on a thread, reported as the stages ``scan`` and ``hash`` of ``run``."""
    stopped = threading.Event()
    try:
        async with run.stage("scan"):
            files = await to_thread.run_sync(scan, folders, run.advance, stopped, abandon_on_cancel=True)
        async with run.stage("hash", total=sum(file.size for file in files)):
            hashed = await to_thread.run_sync(hash_files, files, run.advance, stopped, abandon_on_cancel=True)
    finally:
        stopped.set()
    await run.complete(f"{hashed.files:,} files", result=hashed._asdict())


async def follow_and_cut(
    transport: SocketTransport,
    target: str,
    tally: Tally,
    screen: Screen,
    learned: Callable[[dict[str, Any]], None],
) -> int:
    """Follow a run to its end, and drop the connection once on the way; returns how often it was dropped.

    The frame at which it happens is not read: the server has to send it again. Raises Refused and
    ConnectionLost, the latter when no connection comes about at all.
    """
    cursor = Cursor()
    viewer = Viewer()
    cuts = 0
    while True:
        async with stream(transport, target, cursor) as frames:
            if frames is None:
                return cuts
            with contextlib.suppress(ConnectionLost):
                before = cursor.last_event_id
                async for frame in frames:
                    if cuts == 0 and _is_middle(frame):
                        cursor.last_event_id = before
                        cuts = 1
                        break
                    before = cursor.last_event_id
                    tally.take(frame)
                    run = viewer.take(frame)
                    if run is not None:
                        learned(run)
                        screen.draw(run)
                        if frame.final or (ended(run) and frame.event != "snapshot"):
                            return cuts
        screen.say(f"The client dropped its connection; it comes back after {cursor.last_event_id}.")
        await anyio.sleep(_AWAY_SECONDS)


def _is_middle(frame: Frame) -> bool:
    # With an id before it there is a place to come back to: the very first frames have none.
    if frame.event in ("hello", "snapshot"):
        return False
    run = cast("dict[str, Any]", frame.data.get("run") or {})
    percent = run.get("percent")
    return frame.final or (percent is not None and percent >= _MIDDLE)
