"""How fast is the log folded into snapshots, beside only reading it?

A cold rebuild from a SQLite file: every event is read, decoded and folded, histories and estimates included,
until the projector can answer for every run. It shares a log of several kinds out to as many processes as
there are processors, and starting them is in its time; what one process does is a row of its own. The raw
limit, in the same run: a scan of that very table with ``fetchmany`` and one msgspec decode per event, on one
processor, with nothing done about what comes out. Each side is a process of its own, so that memory is
counted from a clean start, that of the processes it starts from nothing; its own interpreter and imports
are not in the time.

What this does not show: the first read of a cold disk (the file is in the page cache), logs of one kind or
of less than 400,000 events, which one process folds, and catching up with other processes a few events at a
time, where the cost is the hop to the database and not the fold.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmarks.harness import Report, interleave, machine, medians, options, spread
from progress_ledger.ledger import codec
from progress_ledger.ledger.door import Draft, draft_event, draft_run
from progress_ledger.ledger.events import Completed, RunSpec, Stage, StageChanged, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Append
from progress_ledger.projections import parts
from progress_ledger.projections.projector import Projector

Half = Literal["rebuild", "alone", "scan"]

COMMIT = 2_000
KINDS = 20


def drafts_of(run: int, events: int) -> Iterator[Draft]:
    """One run: a short stage, a long one, ticks with counts, now and then a message, and its end."""
    work = max(events - 4, 0)
    scan = work // 10
    yield draft_run(
        RunSpec(
            kind=f"kind-{run % KINDS}",
            scope=f"shop:{run}",
            title=f"Check of shop {run}",
            unit="items",
            stages=[Stage(name="scan", weight=1.0), Stage(name="check", weight=9.0)],
            labels={"shop": str(run % 7)},
        )
    )
    yield draft_event(StageChanged(stage="scan", total=scan))
    for done in range(1, scan + 1):
        yield draft_event(Ticked(done=done))
    yield draft_event(StageChanged(stage="check", total=work - scan))
    for done in range(1, work - scan + 1):
        failed = done // 50
        message = None if done % 8 else f"{done}/{work - scan} items"
        yield draft_event(
            Ticked(done=done, counts={"passed": done - failed, "failed": failed}, message=message)
        )
    yield draft_event(Completed(result={"passed": work}))


async def write_log(path: Path, *, events: int, runs: int, together: int = 100) -> None:
    """A log of so many events, ``together`` runs going on at a time, each with an event a second."""
    clock = 1_795_000_000.0
    share, more = divmod(events, runs)
    waiting = iter([(run, share + (run < more)) for run in range(runs)])
    going: list[tuple[str, Iterator[Draft]]] = []
    requests: list[Append] = []
    async with Ledger.open(path, durability="process", clock=lambda: clock) as ledger:
        while True:
            while len(going) < together and (following := next(waiting, None)) is not None:
                going.append((f"run-{following[0]}", drafts_of(*following)))
            if not going:
                break
            clock += 1.0
            for one in tuple(going):
                draft = next(one[1], None)
                if draft is None:
                    going.remove(one)
                else:
                    requests.append(Append(run_id=one[0], drafts=[draft]))
            if len(requests) >= COMMIT or not going:
                await ledger.append_many(requests)
                requests.clear()


def scan(path: Path) -> int:
    """Read and decode every event, and do nothing with it."""
    decode = codec.decode_known
    count = 0
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT position, CAST(body AS BLOB) FROM event WHERE position > 0 ORDER BY position"
        )
        while page := rows.fetchmany(1_000):
            for _, body in page:
                decode(body)
            count += len(page)
    return count


async def rebuild(path: Path) -> tuple[float, int, int]:
    """Seconds until every run is folded from zero, the position reached, and memory before, in bytes.

    What is kept beside the log on the way is in it; what is left to keep when the projector is closed is not.
    """
    forget(path)
    async with Ledger.open(path) as ledger:
        before = peak_bytes()
        began = time.perf_counter()
        async with Projector.open(ledger) as projector:
            return time.perf_counter() - began, projector.position, before


def forget(path: Path) -> None:
    """Throw away what projections keep beside the log."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM document")
        connection.execute("DELETE FROM checkpoint")


def peak_bytes() -> int:
    """The most memory this process has held so far."""
    # Not getrusage: its figure is handed on from the parent, which may have held more.
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("This system does not say how much memory a process has held.")


def peak_of_children() -> int:
    """The most memory that all processes started by this one can have held together."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return largest * min(parts.MOST_PARTS, len(os.sched_getaffinity(0)))


def in_this_process(half: Half, path: Path) -> dict[str, float]:
    """One side, measured: what the child process of each round does."""
    if half == "scan":
        before = peak_bytes()
        began = time.perf_counter()
        count = scan(path)
        seconds = time.perf_counter() - began
    else:
        if half == "alone":
            parts.MOST_PARTS = 1
        seconds, count, before = asyncio.run(rebuild(path))
    return {"seconds": seconds, "events": count, "memory": peak_bytes() - before + peak_of_children()}


def in_a_process(half: Half, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.projection", "--half", half, "--path", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def pragmas_of(path: Path) -> dict[str, Any]:
    names = ("journal_mode", "page_size", "cache_size")
    with closing(sqlite3.connect(path)) as connection:
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the log")
    parser.add_argument("--runs", type=int, default=1_000, help="runs they belong to")
    parser.add_argument("--path", type=Path, help="a log made before: measured as it is, and kept")
    parser.add_argument(
        "--half", choices=("rebuild", "alone", "scan"), help="one side alone, in this process, once"
    )
    chosen = parser.parse_args(arguments)
    if chosen.half:
        print(json.dumps(in_this_process(chosen.half, chosen.path)))
        return

    with tempfile.TemporaryDirectory(prefix="benchmark-projection-") as folder:
        path: Path = chosen.path or Path(folder) / "log.db"
        if not path.exists():
            asyncio.run(write_log(path, events=chosen.events, runs=chosen.runs))
        memory: dict[str, list[float]] = {"rebuild": [], "alone": [], "scan": []}
        events = 0.0

        def rate(half: Half) -> float:
            nonlocal events
            found = in_a_process(half, path)
            events = found["events"]
            memory[half].append(found["memory"])
            return events / found["seconds"]

        halves: tuple[Half, ...] = ("rebuild", "scan", "alone")
        results = interleave({half: partial(rate, half) for half in halves}, chosen.repeat)
        described = machine(pragmas=pragmas_of(path), events=int(events), runs=chosen.runs)

    middle = medians(results)
    report = Report("Folding a log from zero, beside only reading it", described)
    report.row("rebuild", middle["rebuild"], "events/s")
    report.row("scan and decode", middle["scan"], "events/s")
    report.row("rebuild, one process", middle["alone"], "events/s")
    report.row("rebuild, one process / scan and decode", middle["alone"] / middle["scan"], "×")
    report.row("rebuild, spread", spread(results["rebuild"]), "×")
    report.row("scan and decode, spread", spread(results["scan"]), "×")
    report.row("rebuild, peak memory over the start", max(memory["rebuild"]) / 1e6, "MB")
    report.row("rebuild, one process, peak memory over the start", max(memory["alone"]) / 1e6, "MB")
    report.at_least("rebuild / scan and decode", middle["rebuild"] / middle["scan"], 0.6)
    report.at_most("rebuild, peak memory over the start / 150 MB", max(memory["rebuild"]) / 150e6, 1.0)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
