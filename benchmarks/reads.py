"""How many snapshots does a server answer, beside a bare route that answers bytes it has ready?

``GET /v1/runs/{id}`` of a running job with two stages, counts and an ETA: the server looks for commits of
other processes, and answers the run as of then. Beside it a Starlette application of this one route, which
answers a body of the same size that it keeps. Each is one uvicorn process on one core, with httptools and
uvloop; the readers are raw sockets of this process on another core, each asking again once it has its answer.
Answers are counted by the clock, and once more by the processor time that the server took: on a machine with
neighbours the second says more.

The readers ask for one run, so that most of them share what was made for another one in the same moment; and
once more for many runs in turn, where there is next to nothing to share.

What this does not show: networks, TLS, and a server that writes meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.harness import Report, interleave, machine, medians, options, percentile, spread
from benchmarks.processes import cores, cpu_seconds, served
from progress_ledger.api.server import bind, serve
from progress_ledger.ledger.door import draft_event, draft_run
from progress_ledger.ledger.events import RunSpec, Stage, StageChanged, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Append

RUN = "bench"

_STUCK_SECONDS = 20.0


async def serve_ledger(path: Path, runs: int) -> None:
    """The ledger as its users serve it, with so many runs under way, until standard input ends."""
    spec = RunSpec(
        kind="bulk_qa",
        title="Check the sheets of the autumn batch",
        unit="sheets",
        stages=[Stage(name="extract", total=291), Stage(name="check", total=291)],
        labels={"shop": "7"},
    )
    async with Ledger.open(path) as ledger:
        names = [f"{RUN}{number}" for number in range(runs)]
        begin = [
            draft_run(spec),
            *map(draft_event, (StageChanged(stage="extract"), Ticked(done=291), StageChanged(stage="check"))),
        ]
        await ledger.append_many([Append(run_id=name, drafts=begin) for name in names])
        for done in range(1, 21):
            counts = {"passed": done, "failed": 0}
            tick = draft_event(Ticked(done=done, counts=counts, message=f"{done}/291 sheets"))
            await ledger.append_many([Append(run_id=name, drafts=[tick]) for name in names])
    ended = asyncio.create_task(_until_told())
    await serve(path, port=0, listening=lambda url: print(url.rpartition(":")[2], flush=True))
    await ended


async def serve_route(size: int) -> None:
    """A bare route with ``size`` bytes that are ready, until standard input ends."""
    body = b'{"padding":"%b"}' % (b"x" * (size - 14))

    async def show(request: Request) -> Response:
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/v1/runs/{run_id}", show)])
    config = uvicorn.Config(
        app, http="httptools", loop="none", log_level="error", access_log=False, lifespan="off"
    )
    with bind("127.0.0.1", 0) as listener:
        print(listener.getsockname()[1], flush=True)
        ended = asyncio.create_task(_until_told())
        await uvicorn.Server(config).serve(sockets=[listener])
        await ended


async def _until_told() -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    await told.read()
    signal.raise_signal(signal.SIGTERM)


class Readers:
    """So many connections that ask again and again, each one question at a time, for ``runs`` in turn."""

    def __init__(self, port: int, count: int, runs: int = 1) -> None:
        self._requests = itertools.cycle([request_for(number) for number in range(runs)])
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[one.fileno()] = one
            self._poll.register(one.fileno(), select.EPOLLIN)

    def ask(self, seconds: float) -> list[float]:
        """Each answer's wait. Every reader has its last answer on return."""
        waits: list[float] = []
        sent: dict[int, float] = {}
        parts = dict.fromkeys(self._sockets, b"")
        now = time.perf_counter()
        until = now + seconds
        for number, one in self._sockets.items():
            sent[number] = now
            one.sendall(next(self._requests))
        while sent:
            for number, _ in self._poll.poll(1.0):
                one = self._sockets[number]
                received = parts[number] + one.recv(65_536)
                if not is_whole(received):
                    parts[number] = received
                    continue
                parts[number] = b""
                now = time.perf_counter()
                waits.append(now - sent[number])
                if now < until:
                    sent[number] = now
                    one.sendall(next(self._requests))
                else:
                    del sent[number]
            if time.perf_counter() > until + _STUCK_SECONDS:
                raise TimeoutError(f"{len(sent)} readers wait for an answer")
        return waits

    def close(self) -> None:
        self._poll.close()
        for one in self._sockets.values():
            one.close()


def is_whole(received: bytes) -> bool:
    """Whether a response is there with all of its body. Raises ConnectionError when it is not a 200."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head.decode("ascii", "replace"))
    _, _, rest = head.lower().partition(b"content-length:")
    return len(body) >= int(rest.partition(b"\r\n")[0])


def request_for(number: int) -> bytes:
    """The question for the run of that number."""
    return f"GET /v1/runs/{RUN}{number} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def size_of(port: int) -> int:
    """Bytes of the body that a server answers."""
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(request_for(0))
        received = b""
        while not is_whole(received):
            received += one.recv(65_536)
    return len(received.partition(b"\r\n\r\n")[2])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32], help="readers at a time")
    parser.add_argument("--runs", type=int, default=5_000, help="runs under way that are asked for in turn")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    parser.add_argument("--serve-ledger", type=Path, metavar="PATH", help="be the server, in this process")
    parser.add_argument("--serve-route", type=int, metavar="BYTES", help="be the peer, in this process")
    chosen = parser.parse_args(arguments)
    if chosen.serve_ledger or chosen.serve_route:
        if chosen.serve_ledger:
            serving = serve_ledger(chosen.serve_ledger, chosen.runs)
        else:
            serving = serve_route(chosen.serve_route)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serving)
        return

    described = machine(loop="uvloop")
    core, load = cores()
    os.sched_setaffinity(0, {load})
    waits: dict[str, list[float]] = {}
    per_cpu: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-reads-") as folder, ExitStack() as stack:
        command = ["-m", "benchmarks.reads", "--runs", str(chosen.runs)]
        ledger = stack.enter_context(served([*command, "--serve-ledger", f"{folder}/progress.db"], core))
        size = size_of(ledger[1])
        route = stack.enter_context(served([*command, "--serve-route", str(size)], core))

        def side(name: str, server: tuple[int, int], count: int, runs: int) -> float:
            pid, port = server
            readers = Readers(port, count, runs)
            try:
                readers.ask(0.1)
                busy, began = cpu_seconds(pid), time.perf_counter()
                waits[name] = readers.ask(chosen.seconds)
                seconds = time.perf_counter() - began
            finally:
                readers.close()
            answers = len(waits[name])
            per_cpu.setdefault(name, []).append(answers / max(cpu_seconds(pid) - busy, 0.01))
            return answers / seconds

        most = max(chosen.connections)
        asked = [
            (f"{which}, {count} at a time", server, count, 1)
            for count in chosen.connections
            for which, server in (("ledger", ledger), ("bare route", route))
        ]
        many = f"ledger, {most} at a time, {chosen.runs} runs"
        asked.append((many, ledger, most, chosen.runs))
        results = interleave({one[0]: partial(side, *one) for one in asked}, chosen.repeat)
    report = Report("Snapshots beside bytes that are ready", described | {"bytes_per_answer": size})
    middle, middle_cpu = medians(results), medians(per_cpu)
    for name, value in middle.items():
        report.row(name, value, "answers/s")
        report.row(f"{name}, per server CPU second", middle_cpu[name], "answers/s")
        report.row(f"{name}: wait p50", percentile(waits[name], 50) * 1e3, "ms")
        report.row(f"{name}: wait p99", percentile(waits[name], 99) * 1e3, "ms")
    report.row("spread of one side, largest", max(map(spread, results.values())), "×")
    for cost, figures in (("", middle), (", per server CPU second", middle_cpu)):
        bare = figures[f"bare route, {most} at a time"]
        ratio = figures[f"ledger, {most} at a time"] / bare
        report.at_least(f"ledger / bare route, {most} at a time{cost}", ratio, 0.7)
        report.row(f"ledger / bare route, {chosen.runs} runs{cost}", figures[many] / bare, "×")
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
