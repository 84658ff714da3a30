"""What does it cost a job to say how far it is?

``track()`` is compared with tqdm by what each adds to the bare loop, ``run.advance(1)`` with
``tqdm.update(1)`` call by call, all in one run and in turns; and the events that a long loop appends are
counted. The ledger is a real file with every tick on disk; tqdm draws into memory, which is kind to it.

What the numbers do not show: a job whose body does something. Beside that, all of this vanishes.
"""

from __future__ import annotations

import io
import os
import resource
import sqlite3
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from benchmarks import harness
from progress_ledger.ledger import open_run, track


def main() -> None:
    parser = harness.options(__doc__ or "")
    parser.add_argument("--iterations", type=int, default=1_000_000, help="loop iterations of a side")
    parser.add_argument("--calls", type=int, default=300_000, help="calls of advance and update")
    arguments = parser.parse_args()
    report = harness.Report("producer: cost to the job", harness.machine(pragmas={"synchronous": "FULL"}))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROGRESS_LEDGER_DB"] = str(Path(folder) / "progress.db")
        _loops(report, arguments.iterations, arguments.repeat)
        _calls(report, arguments.calls, arguments.repeat)
        _events(report, Path(folder) / "progress.db")
    report.emit(as_json=arguments.json)


def _loops(report: harness.Report, iterations: int, repeat: int) -> None:
    cpu: dict[str, list[float]] = {"bare loop": [], "tqdm": [], "track": []}

    def timed(name: str, loop: object) -> float:
        used, began = _cpu(), time.perf_counter()
        for _ in loop:  # type: ignore[attr-defined]  # three kinds of iterators
            pass
        seconds = time.perf_counter() - began
        cpu[name].append(_cpu() - used)
        return seconds / iterations * 1e9

    def tracked() -> float:
        # Opening the ledger and the run is not per iteration; ending the run, durably, is counted.
        return timed("track", track(range(iterations), kind="loop"))

    results = harness.medians(
        harness.interleave(
            {
                "bare loop": lambda: timed("bare loop", range(iterations)),
                "tqdm": lambda: timed("tqdm", tqdm(range(iterations), file=io.StringIO())),
                "track": tracked,
            },
            repeat,
        )
    )
    for name, value in results.items():
        report.row(f"{name}: an iteration", value, "ns")
    for name, used in harness.medians(cpu).items():
        report.row(f"{name}: CPU of the whole process", used / iterations * 1e9, "ns an iteration")
    bare = results["bare loop"]
    report.at_most(
        "what track adds ÷ what tqdm adds", (results["track"] - bare) / (results["tqdm"] - bare), 0.5
    )


def _calls(report: harness.Report, calls: int, repeat: int) -> None:
    with open_run("calls") as run, tqdm(total=calls * repeat * 2, file=io.StringIO()) as bar:

        def advance() -> float:
            step = run.advance
            began = time.perf_counter()
            for _ in range(calls):
                step(1)
            return (time.perf_counter() - began) / calls * 1e9

        def update() -> float:
            step = bar.update
            began = time.perf_counter()
            for _ in range(calls):
                step(1)
            return (time.perf_counter() - began) / calls * 1e9

        results = harness.medians(harness.interleave({"advance": advance, "update": update}, repeat))
    report.row("run.advance(1)", results["advance"], "ns")
    report.row("tqdm.update(1)", results["update"], "ns")
    report.at_most("run.advance(1) ÷ tqdm.update(1)", results["advance"] / results["update"], 1.0)


def _events(report: harness.Report, path: Path) -> None:
    began = time.perf_counter()
    with open_run("long", run_id="long", total=1_000_000) as run:
        for _ in range(1_000_000):
            run.advance(1)
    seconds = time.perf_counter() - began
    connection = sqlite3.connect(path)
    (appended,) = connection.execute(
        "SELECT count(*) FROM event JOIN run ON run.number = event.run WHERE run_id = 'long'"
    ).fetchone()
    connection.close()
    # Beside the run's own first and last event, its first tick and its last state always go.
    report.row("events of 1,000,000 advances", appended, "events")
    report.at_most("ticks a second", (appended - 4) / max(seconds, 0.25), 4.0)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
