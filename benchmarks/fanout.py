"""How fast does one event reach many readers, beside nchan, sse-starlette and a Protocol made by hand?

Each server is one process on one core, the readers are raw sockets of one process on another. An event has
about 200 bytes; the ledger's frame also says what changed in the run and has about 700, and the ledger has
every event on the disk before anybody sees it, which no peer has. What that is worth is told apart: as the
share of the processor time of an event that the ledger takes for it with no reader there, and by a second
Protocol made by hand that stores each event first. What the first one reaches beside sse-starlette is said
too: a server written in Python cannot do much more.

* one at a time: the next event is published when every reader has the last one; in bursts: sixteen at once
* latency: a steady number of deliveries per second
* memory: resident memory of the server for each reader that is connected and silent
* append: what one producer in the server's process appends while its events go to all readers, in turns with
  what it appends to a run that nobody follows
* a frozen reader: what the kernel and the server hold for one that never reads

Deliveries are counted by the clock, and once more by the processor time that the server took. By the clock
most of what is waited for is the process that reads: the second says what the server can do. Without nchan
its rows are left out, and why is said. What is under way is told on standard error.

What this does not show: networks, TLS, HTTP/2, more than one server process.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.harness import Report, interleave, machine, options, percentile, spread
from benchmarks.streams import servers
from benchmarks.streams.load import Readers
from benchmarks.streams.servers import Server

GREETINGS = {"ledger": 2}
BURST = 16
STORES = "Protocol that stores"
UNHEARD = 500
"""Events published with no reader there."""

TURNS = 8
TURN_SECONDS = 0.3

Start = Callable[[], AbstractContextManager[Server]]
Samples = dict[str, list[float]]


class Measured:
    """All figures by name, as they come."""

    def __init__(self) -> None:
        self.samples: Samples = {}

    def add(self, name: str, value: float) -> None:
        self.samples.setdefault(name, []).append(value)

    def middle(self, name: str) -> float:
        return percentile(self.samples[name], 50)


def deliver(
    measured: Measured, server: Server, readers: Readers, frames: int, *, count: int, burst: int
) -> int:
    """Publish and wait, ``count`` times; the frames each reader has then."""
    name = (
        f"{server.name}, {len(readers):,} readers, {'one at a time' if burst == 1 else f'bursts of {burst}'}"
    )
    busy = server.cpu
    began = time.perf_counter()
    for _ in range(count):
        server.publish(burst)
        frames += burst
        readers.until(frames)
    deliveries = count * burst * len(readers)
    measured.add(name, deliveries / (time.perf_counter() - began))
    measured.add(f"{name}, per server CPU second", deliveries / (server.cpu - busy))
    return frames


def unheard(measured: Measured, server: Server) -> None:
    """What an event costs that nobody hears of: storing it, where it is stored."""
    server.publish(1)
    busy = server.cpu
    for _ in range(UNHEARD):
        server.publish(1)
    measured.add(f"{server.name}, no readers, CPU of an event", (server.cpu - busy) / UNHEARD * 1e6)


def wait(
    measured: Measured, server: Server, readers: Readers, frames: int, *, rate: int, seconds: float
) -> int:
    """Publish steadily; the frames each reader has then."""
    every = len(readers) / rate
    readers.latencies.clear()
    due = time.perf_counter()
    for _ in range(max(1, int(seconds / every))):
        pause = due - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        now = time.perf_counter()
        server.publish(1)
        frames += 1
        readers.until(frames, since=now)
        due += every
    name = f"{server.name}, {len(readers):,} readers, {rate:,} deliveries/s"
    for percent in (50, 99):
        measured.add(f"{name}, p{percent}", percentile(readers.latencies, percent) * 1e3)
    return frames


def one_size(measured: Measured, start: Start, count: int, *, deliveries: int) -> float:
    """Everything for one server and one number of readers."""
    with start() as server:
        unheard(measured, server)
        before = server.rss
        readers = Readers(server, count, greeting=GREETINGS.get(server.name, 1))
        try:
            frames = readers.base
            measured.add(
                f"{server.name}, {count:,} readers, memory of each", (server.rss - before) / 1024 / count
            )
            events = max(10, deliveries // count)
            for times in (max(3, events // 10), events):
                frames = deliver(measured, server, readers, frames, count=times, burst=1)
            if server.name != STORES:
                bursts = max(3, events // BURST)
                frames = deliver(measured, server, readers, frames, count=bursts, burst=BURST)
            if count == 1_000 and server.name != STORES:
                frames = wait(measured, server, readers, frames, rate=10_000, seconds=3.0)
                if server.name == "ledger":
                    producer(measured, server, readers, frames)
        finally:
            readers.close()
    return 0.0


def producer(measured: Measured, server: Server, readers: Readers, frames: int) -> None:
    """Append to the run that all readers follow, and to one that nobody follows, in short turns."""
    assert server.append is not None
    for _ in range(TURNS):
        appended = server.append(TURN_SECONDS, "bench", readers)
        measured.add("ledger, append with 1,000 readers", appended / TURN_SECONDS)
        frames += appended
        readers.until(frames)
        alone = server.append(TURN_SECONDS, "unheard", readers)
        measured.add("ledger, append without readers", alone / TURN_SECONDS)


def frozen(measured: Measured, start: Start, *, events: int, readers: int = 8) -> None:
    """What is held for readers that never read."""
    with start() as server:
        # A reader that reads along, so that every event is sent while the others stand still.
        quick = Readers(server, 1, greeting=GREETINGS.get(server.name, 1))
        frames = quick.base

        def flood(frames: int) -> int:
            for _ in range(events // 200):
                server.publish(200)
                frames += 200
                quick.until(frames)
            return frames

        # Once without them: the tail that all readers share is full then, and is not counted as theirs.
        frames = flood(frames)
        before = server.rss
        idle = [_frozen_reader(server) for _ in range(readers)]
        time.sleep(0.5)
        flood(frames)
        held = sum(_unsent(server.port, one.getsockname()[1]) for one in idle)
        measured.add(f"{server.name}, frozen reader, kernel memory", held / 1024 / readers)
        measured.add(f"{server.name}, frozen reader, server memory", (server.rss - before) / 1024 / readers)
        quick.close()
        for one in idle:
            one.close()


def _frozen_reader(server: Server) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", server.port))
    one.sendall(server.request())
    return one


def _unsent(server_port: int, reader_port: int) -> int:
    # Bytes the server's kernel holds for one connection: queued for sending, not yet taken by the reader.
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{server_port:04X}") and fields[2].endswith(f":{reader_port:04X}"):
            return int(fields[4].partition(":")[0], 16)
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "", repeat=3)
    parser.add_argument(
        "--readers", type=int, nargs="+", default=[100, 1_000, 5_000], help="numbers of readers"
    )
    parser.add_argument("--deliveries", type=int, default=60_000, help="deliveries of one measurement, about")
    parser.add_argument("--flood", type=int, default=20_000, help="events that pass by a frozen reader")
    chosen = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    core, load = cores[0], cores[-1]
    os.sched_setaffinity(0, {load})
    measured = Measured()
    missing = servers.nchan_reason()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="benchmark-fanout-") as name:
        folder = Path(name)
        starts: dict[str, Start] = {
            "ledger": lambda: servers.ledger(folder, core),
            "Protocol": lambda: servers.protocol(core),
            STORES: lambda: servers.protocol(core, store=_new(folder / "protocol.db")),
            "sse-starlette": lambda: servers.sse_starlette(core),
        }
        if missing is None:
            starts["nchan"] = lambda: servers.nchan(folder, core)
        else:
            print(missing, file=sys.stderr)
        for count in chosen.readers:

            def side(name: str, start: Start, count: int = count) -> Callable[[], float]:
                def measure() -> float:
                    _tell(began, f"{name}, {count:,} readers")
                    return one_size(measured, start, count, deliveries=chosen.deliveries)

                return measure

            interleave({name: side(name, start) for name, start in starts.items()}, chosen.repeat)
        _tell(began, "ledger, frozen readers")
        frozen(measured, starts["ledger"], events=chosen.flood)
    emit(measured, chosen, missing)


def _new(path: Path) -> Path:
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    return path


def _tell(began: float, what: str) -> None:
    print(f"{time.perf_counter() - began:4.0f} s  {what}", file=sys.stderr, flush=True)


def emit(measured: Measured, chosen: Any, missing: str | None) -> None:
    described = machine(
        loop="uvloop", readers=str(chosen.readers), repeat=chosen.repeat, nchan=missing or "1.3.6"
    )
    report = Report("One event to many readers", described)
    for name in measured.samples:
        report.row(name, measured.middle(name), _unit(name))
    steady = [name for name in measured.samples if name.endswith("one at a time")]
    if steady:
        report.row(
            "largest spread of one at a time", max(spread(measured.samples[name]) for name in steady), "×"
        )
    storing = measured.middle("ledger, no readers, CPU of an event") - measured.middle(
        "Protocol, no readers, CPU of an event"
    )
    for count in chosen.readers:
        one = f"{count:,} readers, one at a time, per server CPU second"
        event = count / measured.middle(f"ledger, {one}") * 1e6
        report.row(f"ledger, {count:,} readers, CPU of an event", event, "µs")
        report.row(f"ledger, {count:,} readers, share of it that is storing", storing / event, "")
        for name, peer in (("ledger", STORES), ("Protocol", "sse-starlette")):
            ratio = measured.middle(f"{name}, {one}") / measured.middle(f"{peer}, {one}")
            report.row(f"{name} / {peer}, {one}", ratio, "×")
    for count in chosen.readers:
        for manner, bars in (("one at a time", (0.6, 3)), (f"bursts of {BURST}", (None, 20))):
            for cost in ("", ", per server CPU second"):
                ours = measured.middle(f"ledger, {count:,} readers, {manner}{cost}")
                for peer, bar in zip(("Protocol", "sse-starlette"), bars, strict=True):
                    if bar is not None:
                        theirs = measured.middle(f"{peer}, {count:,} readers, {manner}{cost}")
                        report.at_least(
                            f"ledger / {peer}, {count:,} readers, {manner}{cost}", ours / theirs, bar
                        )
        ours = measured.middle(f"ledger, {count:,} readers, memory of each")
        theirs = measured.middle(f"sse-starlette, {count:,} readers, memory of each")
        report.at_most(f"memory of each of {count:,} readers, ledger / sse-starlette", ours / theirs, 0.5)
    if 1_000 in chosen.readers:
        within, without = (
            measured.middle(f"ledger, append {how} readers") for how in ("with 1,000", "without")
        )
        report.at_least("append with 1,000 readers / without", within / without, 0.5)
        if missing is None:
            name = "1,000 readers, 10,000 deliveries/s, p99"
            ratio = measured.middle(f"ledger, {name}") / measured.middle(f"nchan, {name}")
            report.at_most("latency p99, ledger / nchan", ratio, 3)
    report.at_most(
        "frozen reader, kernel KiB / 400", measured.middle("ledger, frozen reader, kernel memory") / 400, 1
    )
    report.emit(as_json=chosen.json)


def _unit(name: str) -> str:
    if "memory" in name:
        return "KiB"
    if "CPU of an event" in name:
        return "µs"
    if ", p50" in name or ", p99" in name:
        return "ms"
    return "events/s" if "append" in name else "deliveries/s"


if __name__ == "__main__":
    main()
