"""How long is it from appending an event to its bytes at a reader on a socket, beside the bare fsync?

One producer in the server's process, one reader on a socket in a thread of its own: the event is checked,
committed with an fsync, folded, encoded and sent; then the next one. Beside it, in the same rounds: an
``fdatasync`` of 4 KiB, and a commit of a row of the same size by bare ``sqlite3``.

What this does not show: networks, a busy server, and many readers (that is what `fanout` is for).
"""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness import Report, interleave, machine, options, percentile
from progress_ledger.api.app import create_app
from progress_ledger.api.drain import Drain
from progress_ledger.api.server import bind, serve_app
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections import Projector

RUN = "bench"


class Reader(threading.Thread):
    """Follows the run and notes when each frame has come."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.arrived: dict[int, float] = {}
        self.ready = threading.Event()
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(f"GET /v1/runs/{RUN}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    def run(self) -> None:
        rest = b""
        while part := self._socket.recv(65_536):
            now = time.perf_counter()
            *frames, rest = (rest + part).split(b"\n\n")
            for frame in frames:
                if b"event: snapshot" in frame:
                    self.ready.set()
                elif b"event: ticked" in frame:
                    self.arrived[int(frame.rpartition(b"-")[2])] = now

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join(5)
        self._socket.close()


async def through_the_ledger(path: Path, events: int) -> tuple[list[float], list[float]]:
    """Seconds to the reader and to the receipt, of each event."""
    async with Ledger.open(path) as ledger, Projector.open(ledger) as projector:
        drain = Drain()
        app = create_app(ledger, projector, drain=drain)
        listener = bind("127.0.0.1", 0)
        listening = asyncio.Event()
        serving = asyncio.create_task(serve_app(app, listener, drain=drain, listening=listening.set))
        await listening.wait()
        await ledger.create(RunSpec(kind="bench", total=events), run_id=RUN)
        reader = Reader(listener.getsockname()[1])
        reader.start()
        await asyncio.to_thread(reader.ready.wait, 10)
        began: dict[int, float] = {}
        receipts: list[float] = []
        for done in range(events):
            now = time.perf_counter()
            accepted = await ledger.append(RUN, [Ticked(done=done, message=f"{done} of {events} sheets")])
            receipts.append(time.perf_counter() - now)
            position = accepted.receipts[0].position
            began[position] = now
            # The next one when this one has arrived: no reader waits behind a batch. A millisecond's sleep
            # leaves both threads in peace.
            while position not in reader.arrived:  # noqa: ASYNC110 - it is another thread that knows
                await asyncio.sleep(0.001)
        waits = [reader.arrived[position] - now for position, now in began.items()]
        await asyncio.to_thread(reader.close)
        drain.begin()
        await serving
        return waits, receipts


def fsyncs(path: Path, events: int) -> list[float]:
    """Seconds of each ``fdatasync`` of 4 KiB, written over as a log is."""
    waits: list[float] = []
    with path.open("wb") as file:
        file.write(b"\0" * 4096 * 64)
        os.fsync(file.fileno())
        for number in range(events):
            file.seek(number % 64 * 4096)
            file.write(b"x" * 4096)
            file.flush()
            now = time.perf_counter()
            os.fdatasync(file.fileno())
            waits.append(time.perf_counter() - now)
    return waits


def commits(path: Path, events: int) -> list[float]:
    """Seconds of each commit of a row of the same size by bare ``sqlite3``."""
    waits: list[float] = []
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE event (position INTEGER PRIMARY KEY, body TEXT) STRICT")
    for number in range(events):
        now = time.perf_counter()
        connection.execute("INSERT INTO event VALUES (?, ?)", (number + 1, "x" * 180))
        waits.append(time.perf_counter() - now)
    connection.close()
    return waits


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000, help="events of one round")
    chosen = parser.parse_args(arguments)
    samples: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-tick-") as folder:
        fresh = (Path(folder) / f"{number}.db" for number in range(1_000_000))

        def keep(name: str, waits: list[float]) -> float:
            samples.setdefault(name, []).extend(waits)
            return percentile(waits, 50)

        def ledger() -> float:
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                waits, receipts = runner.run(through_the_ledger(next(fresh), chosen.events))
            keep("append to receipt", receipts)
            return keep("append to bytes at the reader", waits)

        def bare(name: str, measure: Callable[[Path, int], list[float]]) -> Callable[[], float]:
            return lambda: keep(name, measure(next(fresh), chosen.events))

        sides: dict[str, Callable[[], float]] = {
            "ledger": ledger,
            "fdatasync": bare("fdatasync of 4 KiB", fsyncs),
            "sqlite3": bare("commit by bare sqlite3", commits),
        }
        interleave(sides, chosen.repeat)
    report = Report("From append to the reader", machine(loop="uvloop", events=chosen.events))
    for name, waits in samples.items():
        for percent in (50, 99):
            report.row(f"{name}, p{percent}", percentile(waits, percent) * 1e3, "ms")
    whole, commit = samples["append to bytes at the reader"], samples["commit by bare sqlite3"]
    report.row(
        "reader beyond the bare commit, p50", (percentile(whole, 50) - percentile(commit, 50)) * 1e3, "ms"
    )
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
