"""Do appending and coming back stay as fast as they were when the file was small?

Files of ten thousand events and more, of runs that went on beside each other, ended, and are folded and kept.
In each of them, in turns: 64 tasks append to new runs, each awaiting its receipt; and a server that has just
been started is asked by a reader that missed 1,000 events of a run, every tenth of the newest 10,000, from
connecting to the last byte. A file is filled by copying the events, runs and marks of the smallest one under
other names, in the ledger's own form.

What this does not show: files that do not fit into memory, and ones on slower disks.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import uvloop

from benchmarks.harness import Report, interleave, machine, medians, options, spread
from benchmarks.processes import cores
from benchmarks.projection import pragmas_of, write_log
from benchmarks.streams import servers
from benchmarks.streams.load import read_frames
from progress_ledger.ledger.door import draft_event, draft_run
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Append
from progress_ledger.projections.projector import Projector

SMALLEST = 10_000
RUNS = 100
MISSED = 1_000
BESIDE = 9
"""Events of other runs for each one that the reader missed."""

RUN = "bench"
FILE = "progress.db"

# `:k` is the number of the copy, `:p` and `:n` are the positions and runs of what is copied.
_COPY = (
    """INSERT INTO event SELECT position + :k * :p, run + :k * :n, iif(previous, previous + :k * :p, 0),
       '{"run_id":"copy-' || :k || '-' || substr(body, 12) FROM event WHERE position <= :p""",
    """INSERT INTO run_entry SELECT number + :k * :n, 'copy-' || :k || '-' || run_id, kind, scope, title,
       parent, owner, slot, lease_seconds, attempt, labels, status, first + :k * :p, pruned
       FROM run_entry WHERE number <= :n""",
    "INSERT INTO head SELECT run + :k * :n, version, last + :k * :p, time FROM head WHERE run <= :n",
    "INSERT INTO mark SELECT run + :k * :n, version, position + :k * :p FROM mark WHERE run <= :n",
    "INSERT INTO run_label SELECT key, value, run + :k * :n FROM run_label WHERE run <= :n",
)


def multiply(path: Path, times: int) -> None:
    """Make the log at ``path``, all of whose runs are over, ``times`` as long."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        positions, runs = connection.execute("SELECT position, number FROM ledger").fetchone()
        for k in range(1, times):
            connection.execute("BEGIN IMMEDIATE")
            for sql in _COPY:
                connection.execute(sql, {"k": k, "p": positions, "n": runs})
            values = (positions * (k + 1), runs * (k + 1))
            connection.execute("UPDATE ledger SET position = ?, number = ?", values)
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def finish(path: Path) -> str:
    """Append the run that a reader comes back to, fold and keep all; the id it comes back with."""
    others = [f"beside-{number}" for number in range(BESIDE)]
    spec = RunSpec(kind="bench", total=10_000_000)
    async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger):
        for run_id in others:
            await ledger.create(RunSpec(kind="beside"), run_id=run_id)
        begun = (await ledger.append_many([Append(run_id=RUN, drafts=[draft_run(spec)])]))[0]
        assert not isinstance(begun, Exception)
        for done in range(1, MISSED + 1):
            tick = draft_event(Ticked(done=done, message=f"sheet {done} of the autumn batch was read"))
            await ledger.append_many([Append(run_id=run_id, drafts=[tick]) for run_id in [RUN, *others]])
        await ledger.append_many(
            [Append(run_id=run_id, drafts=[draft_event(Completed())]) for run_id in others]
        )
        return f"{ledger.epoch}-{begun.receipts[0].position}"


async def append_rate(path: Path, *, prefix: str, tasks: int, events: int) -> float:
    """Events a second into a log that is opened and folded, by tasks that await each receipt."""
    async with Ledger.open(path) as ledger, Projector.open(ledger):
        runs = [f"{prefix}-{number}" for number in range(tasks)]
        await asyncio.gather(*(ledger.create(RunSpec(kind="append"), run_id=run_id) for run_id in runs))

        async def producer(run_id: str) -> None:
            for done in range(events // tasks):
                await ledger.append(run_id, [Ticked(done=done, message=f"{done} of all sheets")])

        began = time.perf_counter()
        await asyncio.gather(*(producer(run_id) for run_id in runs))
        seconds = time.perf_counter() - began
        await asyncio.gather(*(ledger.append(run_id, [Completed()]) for run_id in runs))
        return events // tasks * tasks / seconds


def resume_milliseconds(folder: Path, core: int, last_event_id: str) -> float:
    """Milliseconds until a reader has the events it missed, of a server that holds none of them in memory."""
    with servers.ledger(folder, core, keep=True) as server:
        _, _, seconds = read_frames(server, 1 + MISSED, last_event_id=last_event_id)
        return seconds * 1e3


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "", repeat=7)
    sizes = [10_000, 100_000, 1_000_000]
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes, help="events, tens of thousands")
    parser.add_argument("--events", type=int, default=12_800, help="events that are appended in one round")
    parser.add_argument("--tasks", type=int, default=64, help="tasks that append at a time")
    chosen = parser.parse_args(arguments)
    described = machine(loop="uvloop", events_of_one_round=chosen.events, tasks=chosen.tasks, missed=MISSED)
    core, load = cores()
    fresh = count()

    def appending(path: Path) -> float:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            prefix = f"append-{next(fresh)}"
            return runner.run(append_rate(path, prefix=prefix, tasks=chosen.tasks, events=chosen.events))

    def resuming(folder: Path, last_event_id: str) -> float:
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {load})
        try:
            return resume_milliseconds(folder, core, last_event_id)
        finally:
            os.sched_setaffinity(0, mine)

    with tempfile.TemporaryDirectory(prefix="benchmark-growth-") as name:
        base = Path(name) / "base.db"
        asyncio.run(write_log(base, events=SMALLEST, runs=RUNS))
        appends, resumes, weights = {}, {}, {}
        for size in sorted(chosen.sizes):
            folder = Path(name) / str(size)
            folder.mkdir()
            path = folder / FILE
            shutil.copy(base, path)
            multiply(path, max(1, size // SMALLEST))
            last_event_id = asyncio.run(finish(path))
            weights[size] = path.stat().st_size / 1e6
            appends[f"{size:,}"] = partial(appending, path)
            resumes[f"{size:,}"] = partial(resuming, folder, last_event_id)
        rates = interleave(appends, chosen.repeat)
        waits = interleave(resumes, chosen.repeat)
        described["pragmas"] = pragmas_of(base)
    report = Report("A file that grows", described)
    middle_rates, middle_waits = medians(rates), medians(waits)
    smallest, *larger = middle_rates
    for size, weight in zip(middle_rates, weights.values(), strict=True):
        report.row(f"{size} events in the file: its size", weight, "MB")
        report.row(f"{size} events in the file: append, {chosen.tasks} tasks", middle_rates[size], "events/s")
        report.row(f"{size} events in the file: {MISSED:,} missed events", middle_waits[size], "ms")
    report.row("spread of one size, largest", max(map(spread, [*rates.values(), *waits.values()])), "×")
    for size in larger:
        slower = middle_rates[smallest] / middle_rates[size]
        report.at_most(f"append, {size} events / {smallest}", slower, 1.5)
        slower = middle_waits[size] / middle_waits[smallest]
        report.at_most(f"missed events, {size} events / {smallest}", slower, 1.5)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
