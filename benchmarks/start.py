"""How long until a server that stood still can answer again, beside folding everything once more?

A file with many finished runs. A start opens it, brings back what was kept and answers as a server is asked
first: the newest page of runs and one old run. Refolding does the same on the same log with nothing kept.
Each side is a process of its own; interpreter and imports are not in the time.

What this does not show: many active runs, each of which a start brings back, and a first read of a cold disk.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import Report, interleave, machine, medians, options, spread
from benchmarks.projection import peak_bytes, pragmas_of, write_log
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import RunFilter
from progress_ledger.projections.projector import Projector


async def answer(path: Path) -> dict[str, float]:
    """Open the file, fold what is not kept, and answer."""
    before = peak_bytes()
    began = time.perf_counter()
    # Read only, so that the file is the same for the next round.
    async with Ledger.open(path, read_only=True) as ledger, Projector.open(ledger) as projector:
        opened = time.perf_counter()
        page = await ledger.log.runs(RunFilter(), limit=100)
        found = await projector.snapshots([head.run_id for head in page.runs])
        old = await projector.snapshot("run-0")
        answered = time.perf_counter()
        assert len(found) == 100
        assert old is not None
        assert old.status == "completed"
        assert all(snapshot.percent == 100.0 for snapshot in found.values())
        return {
            "opened": opened - began,
            "answered": answered - began,
            "events": projector.position,
            "memory": peak_bytes() - before,
        }


async def keep(path: Path) -> None:
    """Fold the file once, so that all is kept."""
    async with Ledger.open(path) as ledger, Projector.open(ledger):
        return


def in_a_process(path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.start", "--path", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "", repeat=3)
    parser.add_argument("--runs", type=int, default=100_000, help="finished runs in the file")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of all of them together")
    parser.add_argument("--path", type=Path, help="answer from this file, in this process, once")
    chosen = parser.parse_args(arguments)
    if chosen.path:
        print(json.dumps(asyncio.run(answer(chosen.path))))
        return

    with tempfile.TemporaryDirectory(prefix="benchmark-start-") as folder:
        bare, kept = Path(folder) / "bare.db", Path(folder) / "kept.db"
        asyncio.run(write_log(bare, events=chosen.events, runs=chosen.runs))
        shutil.copy(bare, kept)
        asyncio.run(keep(kept))
        more: dict[str, list[dict[str, float]]] = {"start": [], "refold": []}

        def seconds(side: str, path: Path) -> float:
            found = in_a_process(path)
            more[side].append(found)
            return found["answered"]

        sides = {"start": partial(seconds, "start", kept), "refold": partial(seconds, "refold", bare)}
        results = interleave(sides, chosen.repeat)
        described = machine(pragmas=pragmas_of(kept), events=chosen.events, runs=chosen.runs)

    middle = medians(results)
    report = Report("A start with finished runs, beside folding them again", described)
    report.row("start, until it can be asked", min(found["opened"] for found in more["start"]), "s")
    report.row("start, until it has answered", middle["start"], "s")
    report.row("refold, until it has answered", middle["refold"], "s")
    report.row("refold", chosen.events / middle["refold"], "events/s")
    for side, rounds in more.items():
        report.row(f"{side}, spread", spread(results[side]), "×")
        memory = max(found["memory"] for found in rounds)
        report.row(f"{side}, peak memory over the start", memory / 1e6, "MB")
    report.at_most("start / refold", middle["start"] / middle["refold"], 0.3)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
