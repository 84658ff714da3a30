"""Do readers of a server notice that another process imports a long history into its file?

A server answers one run's snapshot, asked for at a steady pace over a connection that stays open. First it
has nothing else to do; then ``progress-ledger import`` puts an exported bundle of finished runs into the
same file, whose events the server folds as they come. Waits are counted from the first event that is
written until the import has ended; checking the bundle, which comes before, is not in it.

What this does not show: networks, importing on the core that serves, and readers that ask for what is being
imported.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice, takewhile
from pathlib import Path

from benchmarks.growth import multiply
from benchmarks.harness import Report, machine, options, percentile
from benchmarks.processes import cores, pinned, served
from benchmarks.projection import pragmas_of, write_log
from benchmarks.reads import is_whole, request_for

UNIT = 10_000
"""Events that are written one by one; a longer bundle is made of copies of them."""

READS = ("-m", "benchmarks.reads", "--runs", "1")
PROGRAM = (sys.executable, "-c", "import sys; from progress_ledger.api.cli import main; sys.exit(main())")

_TIMEOUT = 1_800.0


def make_bundle(folder: Path, events: int) -> Path:
    """An exported bundle of so many events of finished runs, in tens of thousands if it is more."""
    log, bundle = folder / "source.db", folder / "bundle.ndjson"
    asyncio.run(write_log(log, events=min(events, UNIT), runs=max(1, min(events, UNIT) // 100)))
    multiply(log, max(1, events // UNIT))
    command = [*PROGRAM, "export", "--db", str(log), "--all", "-o", str(bundle)]
    subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT)
    return bundle


def waits_of(port: int, *, every: float) -> Iterator[float]:
    """Seconds that each answer took, asked for once in ``every`` seconds."""
    request = request_for(0)
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.settimeout(60.0)
        due = time.perf_counter()
        while True:
            pause = due - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            one.sendall(request)
            received = b""
            while not is_whole(received):
                part = one.recv(65_536)
                if not part:
                    raise ConnectionError("the server closed the connection")
                received += part
            # From when it was due, so that an answer which takes long counts for all that would have been
            # asked for meanwhile.
            yield time.perf_counter() - due
            due += every


@contextmanager
def importing(bundle: Path, into: Path, core: int) -> Iterator[subprocess.Popen[bytes]]:
    """An import that has begun to write."""
    command = pinned([*PROGRAM, "import", "--db", str(into), str(bundle)], core)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with closing(sqlite3.connect(f"file:{into}?mode=ro", uri=True)) as connection:
            begin = position = _position(connection)
            until = time.monotonic() + _TIMEOUT
            while position == begin and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
                position = _position(connection)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _position(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT position FROM ledger").fetchone()[0])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "", repeat=3)
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the import")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds of reading with nothing else to do")
    parser.add_argument("--rate", type=float, default=200.0, help="reads per second")
    chosen = parser.parse_args(arguments)
    described = machine(loop="uvloop", events=chosen.events, reads_per_second=chosen.rate)
    core, load = cores()
    idle: list[float] = []
    busy: list[float] = []
    rates: list[float] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-import-readers-") as name:
        folder = Path(name)
        bundle = make_bundle(folder, chosen.events)
        os.sched_setaffinity(0, {load})
        for number in range(chosen.repeat):
            path = folder / f"{number}.db"
            with served([*READS, "--serve-ledger", str(path)], core) as (_, port):
                idle += islice(waits_of(port, every=1 / chosen.rate), int(chosen.idle * chosen.rate))
                with importing(bundle, path, load) as process:
                    began = time.perf_counter()
                    reads = waits_of(port, every=1 / chosen.rate)
                    busy += takewhile(lambda _: process.poll() is None, reads)
                    if process.wait():
                        raise RuntimeError(f"the import ended with status {process.returncode}")
                    rates.append(chosen.events / (time.perf_counter() - began))
            described["pragmas"] = pragmas_of(path)
            path.unlink()
    report = Report("Readers beside an import", described)
    for side, waits in (("with nothing else to do", idle), ("during an import", busy)):
        report.row(f"reads {side}", len(waits), "reads")
        for percent in (50, 99):
            report.row(f"wait {side}, p{percent}", percentile(waits, percent) * 1e3, "ms")
        report.row(f"wait {side}, longest", max(waits) * 1e3, "ms")
    report.row("import", percentile(rates, 50), "events/s")
    report.at_most(
        "wait p99 during an import / with nothing else to do",
        percentile(busy, 99) / percentile(idle, 99),
        3.0,
    )
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
