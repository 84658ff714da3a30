"""What does a durable receipt cost beside the packages that one would take instead?

So many tasks (threads, where the peer knows no tasks) each append one event, wait until it is on the disk,
and append the next. The ledger does all it does for an event: rules, group commit, fold, the stream's
frame; and once more with the tree of a verifiable history kept up behind it, until that is complete too.
Beside it

* ``eventsourcing``: one job is one aggregate of its application on SQLite, saved with each event;
* NATS JetStream: one server on files that syncs every message before it acknowledges it (``sync_interval:
  always``), and its own asyncio client, with the very bytes that the ledger stored. It neither checks what
  an event says nor knows a run's state.

What this does not show: disks whose fsync is slower (there the sides come closer), clients of NATS in other
languages, and a server of ours behind HTTP, which the ledger's tasks here do not need.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from benchmarks import eventsourced, jetstream
from benchmarks.append import pragmas_of, rows_of, through_the_ledger
from benchmarks.audit import append_rate
from benchmarks.harness import Report, interleave, machine, medians, options, spread

T = TypeVar("T")

MOST_THREADS = 64
COMPARED = 64


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=20_000, help="events of one round, of peers a fifth")
    parser.add_argument("--tasks", type=int, nargs="+", default=[1, 64, 1_000], help="tasks at a time")
    chosen = parser.parse_args(arguments)
    missing = jetstream.missing()
    with tempfile.TemporaryDirectory(prefix="benchmark-append-peers-") as name, ExitStack() as stack:
        fresh = (Path(name) / f"{number}.db" for number in range(1_000_000))
        server = None if missing is not None else stack.enter_context(jetstream.served())
        seed = next(fresh)
        _run(through_the_ledger(seed, tasks=8, events=chosen.events))
        bodies = [row[3].encode("ascii") for row in rows_of(seed)]
        sides: dict[str, Callable[[], float]] = {}
        for tasks in chosen.tasks:
            events = max(chosen.events if tasks > 1 else chosen.events // 10, tasks)
            few = max(chosen.events // 5 if tasks > 1 else chosen.events // 20, tasks)
            label = f"{tasks:,} task{'s' if tasks > 1 else ''}"
            sides[f"ledger, {label}"] = partial(_ledger, fresh, tasks, events)
            sides[f"ledger with its tree, {label}"] = partial(_with_tree, fresh, tasks, events)
            if tasks <= MOST_THREADS:
                sides[f"eventsourcing, {label}"] = partial(_eventsourcing, fresh, tasks, few)
            if server is not None:
                sides[f"JetStream, {label}"] = partial(_jetstream, server, tasks, bodies[:few])
        results = interleave(sides, chosen.repeat)
        told = missing if server is None else f"{server.version}, {server.setting}"
        described = machine(pragmas=pragmas_of(seed), loop="uvloop", events=chosen.events, nats_server=told)
    report = Report("A durable receipt, beside other packages", described)
    middle = medians(results)
    for side, value in middle.items():
        report.row(side, value, "events/s")
    report.row("spread of one side, largest", max(map(spread, results.values())), "×")
    if missing:
        print(missing, file=sys.stderr)
    for peer, bar in (("eventsourcing", 10.0), ("JetStream", 2.0)):
        for side in ("ledger", "ledger with its tree"):
            theirs = middle.get(f"{peer}, {COMPARED} tasks")
            if theirs is not None:
                ratio = middle[f"{side}, {COMPARED} tasks"] / theirs
                report.at_least(f"{side} / {peer}, {COMPARED} tasks", ratio, bar)
    report.emit(as_json=chosen.json)


def _ledger(fresh: Iterator[Path], tasks: int, events: int) -> float:
    seconds, _ = _run(through_the_ledger(next(fresh), tasks=tasks, events=events))
    return events / seconds


def _with_tree(fresh: Iterator[Path], tasks: int, events: int) -> float:
    return _run(append_rate(next(fresh), tasks=tasks, events=events, tree=True))


def _eventsourcing(fresh: Iterator[Path], threads: int, events: int) -> float:
    return events / eventsourced.append_seconds(next(fresh), threads=threads, events=events)


def _jetstream(server: jetstream.Server, tasks: int, bodies: Sequence[bytes]) -> float:
    return len(bodies) / _run(jetstream.publish_seconds(server, bodies, tasks=tasks))


def _run(measured: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measured)


if __name__ == "__main__":
    main()
