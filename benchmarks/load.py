"""Does a server keep every promise under thousands of streams and many producers, for as long as one likes?

One server as it is installed. Every producer reports a run over HTTP, an event each ``1 / rate`` seconds; a
stream follows one of these runs, and some follow all. The readers, in a process of their own, look at each
frame: the version must be the next one of its run, on a stream of all runs the position the next of the log.
A latency reaches from before the request to the frame in the reader's hands, receipt and fsync included.

What it does not show: networks, slow readers, and more than one machine; readers and producers share the
processors with the server here, so that the latencies are also theirs.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.harness import Report, options
from benchmarks.streams.checked import read

__all__ = ("main",)

_SERVE = "import sys; from progress_ledger.api.cli import main; sys.exit(main())"
_SAMPLE_SECONDS = 0.5
_FREE = {
    f"PROGRESS_LEDGER_LIMITS_{name}": "1000000"
    for name in ("STREAMS", "REQUESTS_PER_SECOND", "REQUESTS_BURST", "RUNS_PER_SECOND", "RUNS_BURST")
}
"""Everybody comes from one address here."""

# ── producers ───────────────────────────────────────────────────────────────────────────────────────────────


async def _post(wire: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, body: object) -> Any:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    wire[1].write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data)
    answered = await wire[0].readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", answered, re.IGNORECASE)
    answer = json.loads(await wire[0].readexactly(int(length[1]) if length else 0))
    if not answered.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"{path} was answered with {answer}")
    return answer


class _Producer:
    """One run, an event at a time."""

    def __init__(self, port: int, run: str) -> None:
        self.run = run
        self.version = 0
        self.late = 0
        self.receipts: list[float] = []
        self._port = port

    async def begin(self) -> None:
        self._wire = await asyncio.open_connection("127.0.0.1", self._port)
        answer = await _post(self._wire, "/v1/runs", {"run_id": self.run, "kind": "load"})
        self.version = answer["version"]

    async def work(self, until: float, pause: float) -> None:
        due = time.monotonic() + random.uniform(0, pause)
        while due < until:
            wait = due - time.monotonic()
            self.late += wait < -pause
            await asyncio.sleep(max(0.0, wait))
            due += pause
            await self._say("ticked", {"advance": 1, "counts": {"good": 1}})
        await self._say("completed", {})
        self._wire[1].close()

    async def _say(self, kind: str, data: dict[str, object]) -> None:
        sent = time.monotonic_ns()
        event = {"type": kind, "data": {**data, "message": f"t{sent}"}}
        answer = await _post(self._wire, f"/v1/runs/{self.run}/events", {"events": [event]})
        self.receipts.append((time.monotonic_ns() - sent) / 1e6)
        version = answer["receipts"][0]["version"]
        if version != self.version + 1:
            raise RuntimeError(f"{self.run}: version {version} after {self.version}")
        self.version = version


# ── the server ──────────────────────────────────────────────────────────────────────────────────────────────


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _watch(pid: int, samples: list[tuple[float, float, int]]) -> None:
    while True:
        samples.append((time.monotonic(), _resident(pid), len(os.listdir(f"/proc/{pid}/fd"))))
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _load(
    port: int, pid: int, producers: int, streams: int, seconds: float, rate: float
) -> dict[str, Any]:
    runs = [f"load-{number}" for number in range(producers)]
    working = [_Producer(port, run) for run in runs]
    await asyncio.gather(*(each.begin() for each in working))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    reading = context.Process(target=read, args=(port, runs, streams, seconds, theirs), daemon=True)
    reading.start()
    theirs.close()
    await asyncio.to_thread(ours.recv)
    samples: list[tuple[float, float, int]] = []
    watching = asyncio.create_task(_watch(pid, samples))
    before, began = _processor_seconds(pid), time.monotonic()
    await asyncio.gather(*(each.work(began + seconds, 1 / rate) for each in working))
    took, spent = time.monotonic() - began, _processor_seconds(pid) - before
    facts: dict[str, Any] = await asyncio.to_thread(ours.recv)
    watching.cancel()
    await asyncio.to_thread(reading.join)
    told = {each.run: each.version - 1 for each in working}
    missing = sum((told[run] if run else sum(told.values())) - got for run, got in facts["got"])
    return {
        **facts,
        "missing": missing,
        "events": sum(told.values()),
        "took": took,
        "spent": spent,
        "samples": samples,
        "late": sum(each.late for each in working),
        "receipts": sorted(receipt for each in working for receipt in each.receipts),
    }


def _latency(counts: dict[int, int], percent: float) -> float:
    rank = sum(counts.values()) * percent / 100
    seen = 0
    for at in sorted(counts):
        seen += counts[at]
        if seen >= rank:
            return (at + 1) / 10
    return 0.0


def _stored(db: Path) -> int:
    with closing(sqlite3.connect(db)) as file:
        count, last = file.execute("SELECT count(*), max(position) FROM event").fetchone()
        return int(count) if count == last else -1


def main() -> int:
    parser = options(__doc__.partition("\n")[0] if __doc__ else "", repeat=1)
    parser.add_argument("--streams", type=int, default=5_000)
    parser.add_argument("--producers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=1.0, help="events a second of each producer")
    parser.add_argument(
        "--tail-frames", type=int, default=256, help="frames of a stream the server keeps in memory"
    )
    told = parser.parse_args()
    # What the server keeps of each stream grows until it is full, in a time that says nothing about leaks: at
    # an event a second and with its own 2,048 frames that takes 34 minutes.
    kept = {"PROGRESS_LEDGER_STREAMS_TAIL_FRAMES": str(told.tail_frames)}
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "load.db"
        command = [sys.executable, "-c", _SERVE, "serve", "--db", str(db), "--port", "0"]
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **_FREE, **kept}
        )
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().rpartition(":")[2])
            found = asyncio.run(
                _load(port, server.pid, told.producers, told.streams, told.seconds, told.rate)
            )
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        finally:
            server.kill()
        report = _report(found, _stored(db), told.producers)
    report.emit(as_json=told.json)
    return 0 if report.ok else 1


def _report(found: dict[str, Any], stored: int, producers: int) -> Report:
    report = Report(f"Under load for {found['took']:.0f} s")
    samples = found["samples"]
    half = samples[len(samples) // 2 :]
    slope, _ = statistics.linear_regression([at for at, _, _ in half], [size for _, size, _ in half])
    receipts = found["receipts"]
    faults = found["faults"]
    report.row("streams", len(found["got"]), "")
    report.row("events acknowledged", found["events"], "")
    report.row("events in the log, beside the starts", stored - producers, "")
    report.row("events delivered", found["frames"], "")
    report.row("deliveries", found["frames"] / found["took"], "1/s")
    for percent in (50, 99, 99.9):
        report.row(
            f"from the producer to the reader, p{percent:g}", _latency(found["latencies"], percent), "ms"
        )
    for percent in (50, 99):
        at = min(len(receipts) - 1, int(len(receipts) * percent / 100))
        report.row(f"from the producer to its receipt, p{percent}", receipts[at], "ms")
    report.row("events a producer was late with", found["late"], "")
    report.row("processor of the server", 100 * found["spent"] / found["took"], "% of a core")
    report.row("memory of the server at first", samples[0][1], "MiB")
    report.row("memory of the server, middle", half[0][1], "MiB")
    report.row("memory of the server at last", samples[-1][1], "MiB")
    report.row("slope of memory, second half", 3600 * slope, "MiB/h")
    report.row("descriptors at first", samples[0][2], "")
    report.row("descriptors at last", max(sample[2] for sample in half), "")
    for name, count in sorted(faults.items()):
        report.row(name, count, "")
    report.at_most("deliveries missing", abs(found["missing"]), 0)
    report.at_most("lost, repeated, reset or closed", sum(faults.values()), 0)
    report.at_most("acknowledged and not in the log", abs(stored - producers - found["events"]), 0)
    report.at_most("memory at last beside the middle", samples[-1][1] / half[0][1], 1.03)
    return report


if __name__ == "__main__":
    sys.exit(main())
