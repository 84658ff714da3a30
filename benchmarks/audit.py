"""What does it cost that a stranger can verify the history?

The tree kept behind the log while 64 tasks append (against the same without it); verifying a whole file
(against reading and hashing the same bytes in one loop, which nobody can do without); the proof of one event;
an export of everything (against the bare SELECT written to a file); the bytes on the disk for an event; the
waits of somebody who appends, and of somebody who reads a run, while many old runs are archived and pruned by
the same process (against the same before that).

What this does not show: signatures (some 0.1 ms each), a cold page cache, checkpoints every few events, and
slower disks, where the tree's own commits weigh more. Verifying uses a second core where there is one.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import uvloop

from benchmarks.harness import Report, interleave, machine, medians, options, percentile, spread
from progress_ledger.ledger.audit.export import export_proven
from progress_ledger.ledger.audit.prune import Retention, prune
from progress_ledger.ledger.audit.tree import Tree
from progress_ledger.ledger.door import draft_event, draft_run
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Append
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.export import Selection
from progress_ledger.ledger.sqlite.verify import verify_file
from progress_ledger.projections.audit import check_states
from progress_ledger.projections.projector import Projector

BODIES = "SELECT CAST(body AS BLOB) FROM event ORDER BY position"
LINES = "SELECT position, CAST(body AS BLOB) FROM event ORDER BY position"
KINDS = ("bulk_qa", "link_check")
TICKS = 400
"""Ticks of a run in the large file."""

AT_A_TIME = 20
"""Runs that go on beside each other in it."""

PAUSE = 0.002
"""Seconds between two appends, and between two reads, beside the pruning."""

_EXPORT = """
import sys
from benchmarks.audit import export_seconds, peak
from pathlib import Path
export_seconds(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] or None)
print(peak())
"""

_VERIFY = """
import sys
from benchmarks.audit import peak, verify_seconds
from pathlib import Path
verify_seconds(Path(sys.argv[1]))
print(peak())
"""


def peak() -> float:
    """Megabytes that this process took at most, and the largest of its children beside it."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    try:
        # What getrusage says of a process begins with the size of the one that started it.
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024 + children
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 + children


def log_of(ledger: Ledger) -> SQLiteLog:
    assert isinstance(ledger.log, SQLiteLog)
    return ledger.log


async def append_rate(path: Path, *, tasks: int, events: int, tree: bool) -> float:
    """Events a second with receipts, the projector folding; with ``tree`` until the tree is caught up too."""
    async with Ledger.open(path) as ledger, Projector.open(ledger):
        runs = [f"run-{number}" for number in range(tasks)]
        await asyncio.gather(*(ledger.create(RunSpec(kind="bench"), run_id=run_id) for run_id in runs))
        kept = Tree(log_of(ledger))
        keeping = asyncio.create_task(kept.keep(interval=0.25)) if tree else None

        async def producer(run_id: str) -> None:
            for done in range(events // tasks):
                await ledger.append(run_id, [tick(done)])

        began = time.perf_counter()
        await asyncio.gather(*(producer(run_id) for run_id in runs))
        if tree:
            await kept.catch_up()
        seconds = time.perf_counter() - began
        if keeping is not None:
            keeping.cancel()
        return (events // tasks) * tasks / seconds


def tick(done: int) -> Ticked:
    """An event of some 200 stored bytes."""
    counts = {"passed": done, "failed": 2}
    return Ticked(done=done, counts=counts, message=f"{done} of {TICKS} sheets of the workbook checked")


async def build(path: Path, events: int) -> None:
    """A ledger of so many events: runs side by side of two kinds, each with its end; tree and states kept."""
    async with Ledger.open(path, durability="process") as ledger:
        for first in range(0, events // (TICKS + 2), AT_A_TIME):
            runs = [f"run-{number}" for number in range(first, first + AT_A_TIME)]
            specs = [
                RunSpec(kind=kind, total=TICKS, title="Check the sheets of the workbook") for kind in KINDS
            ]
            await ledger.append_many(
                [
                    Append(run_id=run_id, drafts=[draft_run(specs[at % len(specs)])])
                    for at, run_id in enumerate(runs)
                ]
            )
            for start in range(0, TICKS, 50):
                drafts = [draft_event(tick(done)) for done in range(start, start + 50)]
                await ledger.append_many([Append(run_id=run_id, drafts=drafts) for run_id in runs])
            ends = [draft_event(Completed(message="done"))]
            await ledger.append_many([Append(run_id=run_id, drafts=ends) for run_id in runs])
        async with Projector.open(ledger):
            await Tree(log_of(ledger)).catch_up()


def raw_verify_seconds(path: Path) -> float:
    """Reading every event and hashing it, in one loop."""
    connection = sqlite3.connect(path)
    try:
        began = time.perf_counter()
        for (body,) in connection.execute(BODIES):
            sha256(body).digest()
        return time.perf_counter() - began
    finally:
        connection.close()


def verify_seconds(path: Path) -> float:
    began = time.perf_counter()
    report = verify_file(path)
    seconds = time.perf_counter() - began
    assert report.ok, report.findings
    return seconds


async def state_seconds(path: Path) -> float:
    async with SQLiteLog.open(path, now=time.time(), read_only=True) as log:
        began = time.perf_counter()
        findings = await check_states(log)
        seconds = time.perf_counter() - began
    assert not findings, findings
    return seconds


async def proof_milliseconds(path: Path, count: int = 50) -> list[float]:
    """Waits for inclusion proofs of events anywhere in the log."""
    async with SQLiteLog.open(path, now=time.time()) as log:
        size = await log.head()
        chosen = random.Random(7).sample(range(1, size + 1), count)
        waits: list[float] = []
        for position in chosen:
            began = time.perf_counter()
            await Tree(log).inclusion(position, size=size)
            waits.append((time.perf_counter() - began) * 1000)
        return waits


def raw_export_seconds(path: Path, target: Path) -> float:
    """The bare SELECT, a line an event, without any proof."""
    connection = sqlite3.connect(path)
    try:
        began = time.perf_counter()
        with target.open("wb") as out:
            for position, body in connection.execute(LINES):
                out.write(b'{"position":%d,%b\n' % (position, body[1:]))
        return time.perf_counter() - began
    finally:
        connection.close()


def export_seconds(path: Path, target: Path, kind: str | None = None) -> float:
    async def export() -> float:
        async with SQLiteLog.open(path, now=time.time()) as log:
            began = time.perf_counter()
            with target.open("wb") as out:
                await export_proven(log, Selection(kind=kind), out, now=time.time())
            return time.perf_counter() - began

    return asyncio.run(export())


def memory(script: str, *arguments: object) -> float:
    """Megabytes that a process of its own takes at most for it; with a second process, of both together."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(said.stdout)


async def prune_waits(
    path: Path, archive: Path, *, seconds: float
) -> tuple[dict[str, list[float]], int, float]:
    """Milliseconds of appends and reads, idle and beside a pruning; how many events went, in what time."""
    waits: dict[str, list[float]] = {}
    async with Ledger.open(path) as ledger, Projector.open(ledger):
        await ledger.create(RunSpec(kind="bench"), run_id="reported")
        await ledger.create(RunSpec(kind="bench"), run_id="read")
        await ledger.append("read", [tick(done) for done in range(500)])
        phase = "idle"

        async def append() -> None:
            for done in itertools.count():
                began = time.perf_counter()
                await ledger.append("reported", [tick(done)])
                waits.setdefault(f"append, {phase}", []).append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(PAUSE)

        async def read() -> None:
            while True:
                began = time.perf_counter()
                assert len(await ledger.log.read_run("read", after=300, limit=100)) == 100
                waits.setdefault(f"read, {phase}", []).append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(PAUSE)

        others = [asyncio.create_task(append()), asyncio.create_task(read())]
        await asyncio.sleep(seconds)
        phase = "pruning"
        began = time.perf_counter()
        report = await prune(ledger, Retention(older_than=0.0, archive=archive))
        took = time.perf_counter() - began
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        assert report.runs
    return waits, report.events, took


def sizes(path: Path) -> tuple[int, int, int]:
    """Events, their raw bytes, and the bytes of the file."""
    connection = sqlite3.connect(path)
    try:
        count, raw = connection.execute("SELECT count(*), sum(length(body)) FROM event").fetchone()
    finally:
        connection.close()
    return count, raw, path.stat().st_size


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "", repeat=3)
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the large file")
    parser.add_argument("--appends", type=int, default=60_000, help="events of one round of appends")
    parser.add_argument("--tasks", type=int, default=64, help="tasks that append at a time")
    parser.add_argument("--pruned", type=int, default=200_000, help="events of the file that is pruned")
    parser.add_argument("--idle", type=float, default=3.0, help="seconds of waits before the pruning")
    chosen = parser.parse_args(arguments)
    report = Report("audit: the price of a history that a stranger can verify", machine())

    with tempfile.TemporaryDirectory(prefix="benchmark-audit-") as name:
        folder = Path(name)
        fresh = (folder / f"{number}.db" for number in range(1_000_000))

        def appending(tree: bool) -> float:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(
                    append_rate(next(fresh), tasks=chosen.tasks, events=chosen.appends, tree=tree)
                )

        appends = interleave(
            {"append, no tree": partial(appending, False), "append, tree kept up": partial(appending, True)},
            max(chosen.repeat, 3),
        )
        for side, rate in medians(appends).items():
            report.row(f"{side}, {chosen.tasks} tasks", rate, "events/s")
            report.row(f"{side}, largest over smallest", spread(appends[side]), "×")

        large, out = folder / "large.db", folder / "large.ndjson"
        asyncio.run(build(large, chosen.events))
        reading = interleave(
            {
                "read and hash, one loop": partial(raw_verify_seconds, large),
                "verify: hashes, tree, rules": partial(verify_seconds, large),
                "verify: stored snapshots against a fold": lambda: asyncio.run(state_seconds(large)),
                "SELECT written to a file": partial(raw_export_seconds, large, out),
                "export with proof": partial(export_seconds, large, out),
            },
            chosen.repeat,
        )
        events, raw, stored = sizes(large)
        middle = medians(reading)
        for side, seconds in middle.items():
            report.row(f"{side}, {events:,} events", events / seconds, "events/s")
        waits = sorted(asyncio.run(proof_milliseconds(large)))
        report.row("proof of one event, median", waits[len(waits) // 2], "ms")
        report.row("proof of one event, slowest of 50", waits[-1], "ms")
        small = folder / "small.db"
        asyncio.run(build(small, min(50_000, chosen.events)))
        for size, file in (("large", large), ("small", small)):
            report.row(f"verify, memory at most, {size} file", memory(_VERIFY, file), "MB")
            report.row(f"export, memory at most, {size} file", memory(_EXPORT, file, out, ""), "MB")
            report.row(
                f"export of one kind, memory at most, {size} file", memory(_EXPORT, file, out, KINDS[0]), "MB"
            )
        pruned = folder / "pruned.db"
        asyncio.run(build(pruned, chosen.pruned))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            held, gone, took = runner.run(prune_waits(pruned, folder / "archive", seconds=chosen.idle))
        report.row(f"archiving and pruning {gone:,} events", gone / took, "events/s")
        for name, found in held.items():
            for percent in (50, 99):
                report.row(f"{name}, p{percent}", percentile(found, percent), "ms")
        report.row("raw bytes of an event", raw / events, "bytes")
        report.row("bytes on disk for an event, all included", stored / events, "bytes")

        plain, kept = medians(appends).values()
        report.at_most("share of append throughput that the tree costs", 1 - kept / plain, 0.25)
        raw_seconds, verify, _, select, export = middle.values()
        report.at_least("verify / read and hash", raw_seconds / verify, 0.5)
        report.at_most("proof of one event, ms", waits[-1], 20.0)
        report.at_least("export / bare SELECT", select / export, 0.5)
        report.at_most("bytes on disk / raw bytes", stored / raw, 1.6)
        for name in ("append", "read"):
            beside = percentile(held[f"{name}, pruning"], 99)
            report.at_most(f"{name} beside a pruning, p99, ms", beside, 20.0)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
