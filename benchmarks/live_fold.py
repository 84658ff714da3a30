"""What does it cost to fold every event the moment it is written, and how far behind is what one sees?

Many tasks append as fast as they get their receipts, with the projector and without it; by the clock, and
once more by the processor time of the whole process. The lag of an event runs from the time it is stamped
with, before it is written, until it is folded: in the process that writes, where a receipt is given after
that, and in another process that folds the same file meanwhile.

What this does not show: streams (``append`` and ``fanout`` do), many active runs, and a machine on which
writer and follower share one core.
"""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import uvloop

from benchmarks.append import pragmas_of
from benchmarks.harness import Report, interleave, machine, medians, options, percentile, spread
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Recorded
from progress_ledger.ledger.times import parse_time
from progress_ledger.projections.projector import Projector
from progress_ledger.projections.state import RunState

_STOP_SECONDS = 30.0


class Lags:
    """Notes how old each event is when it is folded."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = ""
        self._stamped = 0.0

    def folded(self, recorded: Recorded, state: RunState) -> None:
        stamp = recorded.event.time
        if stamp != self._last:
            # All events of a batch have one.
            self._last, self._stamped = stamp, parse_time(stamp)
        self.seconds.append(time.time() - self._stamped)

    def settled(self) -> None:
        return


async def append(path: Path, *, tasks: int, events: int, lags: Lags | None = None) -> tuple[float, float]:
    """Seconds by the clock and of the processor for all events; with ``lags`` they are folded too."""
    async with Ledger.open(path) as ledger:
        if lags is None:
            return await _append(ledger, tasks, events)
        async with Projector.open(ledger) as projector:
            projector.follow(lags)
            measured = await _append(ledger, tasks, events)
            assert projector.position == events + tasks
            return measured


async def _append(ledger: Ledger, tasks: int, events: int) -> tuple[float, float]:
    runs = [f"run-{number}" for number in range(tasks)]
    await asyncio.gather(*(ledger.create(RunSpec(kind="bench", total=events), run_id=run) for run in runs))
    share, more = divmod(events, tasks)

    async def producer(run_id: str, mine: int) -> None:
        for done in range(mine):
            await ledger.append(run_id, [Ticked(done=done, message=f"{done} of {mine} sheets")])

    began, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(producer(run_id, share + (n < more)) for n, run_id in enumerate(runs)))
    return time.perf_counter() - began, time.process_time() - busy


async def follow(path: Path, lines: TextIO) -> list[float]:
    """The lag of each event that another process writes, until there is a line to read."""
    lags = Lags()
    async with Ledger.open(path, read_only=True) as ledger, Projector.open(ledger) as projector:
        projector.follow(lags)
        print("following", flush=True)
        await asyncio.to_thread(lines.readline)
        await projector.caught_up()
    return lags.seconds


@contextmanager
def follower(path: Path, seconds: list[float]) -> Iterator[None]:
    """Another process that follows the file meanwhile; its lags go to ``seconds``."""
    command = [sys.executable, "-m", "benchmarks.live_fold", "--follow", str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], _STOP_SECONDS)
        if not ready or not process.stdout.readline():
            raise ConnectionError("the follower did not start")
        yield
        said, _ = process.communicate("stop\n", timeout=_STOP_SECONDS)
        seconds += json.loads(said)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=40_000, help="events of one round")
    parser.add_argument("--tasks", type=int, default=64, help="tasks that append at a time")
    parser.add_argument("--follow", type=Path, metavar="PATH", help="be the other process")
    chosen = parser.parse_args(arguments)
    if chosen.follow:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(follow(chosen.follow, sys.stdin))))
        return

    events: int = chosen.events
    here: list[float] = []
    there: list[float] = []
    busy: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-live-fold-") as folder:
        fresh = (Path(folder) / f"{number}.db" for number in range(1_000_000))

        def rate(name: str, path: Path, lags: Lags | None) -> float:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                seconds, processor = runner.run(append(path, tasks=chosen.tasks, events=events, lags=lags))
            busy.setdefault(name, []).append(processor / events)
            return events / seconds

        def folding() -> float:
            lags = Lags()
            found = rate("folding", next(fresh), lags)
            here.extend(lags.seconds)
            return found

        def followed() -> float:
            path = next(fresh)
            asyncio.run(_create(path))
            with follower(path, there):
                return rate("followed", path, Lags())

        results = interleave(
            {
                "append alone": lambda: rate("alone", next(fresh), None),
                "append and fold": folding,
                "append and fold, folded by another process too": followed,
            },
            chosen.repeat,
        )
        seed = next(fresh)
        asyncio.run(_create(seed))
        described = machine(pragmas=pragmas_of(seed), loop="uvloop", events=chosen.events, tasks=chosen.tasks)
    report = Report("The live fold", described)
    middle, processor = medians(results), medians(busy)
    for side, value in middle.items():
        report.row(side, value, "events/s")
        report.row(f"{side}: spread", spread(results[side]), "×")
    for name, side in zip(("alone", "folding"), list(middle)[:2], strict=True):
        report.row(f"{side}: processor time", processor[name] * 1e6, "µs an event")
    for where, lags in (("the writing process", here), ("another process", there)):
        for percent in (50, 99):
            report.row(f"lag in {where}, p{percent}", percentile(lags, percent) * 1e3, "ms")
    alone, folded = middle["append alone"], middle["append and fold"]
    report.at_most("share of the append rate that the fold costs", 1 - folded / alone, 0.25)
    report.at_most(
        "share of the processor time that the fold takes", 1 - processor["alone"] / processor["folding"], 0.25
    )
    report.at_most("lag in the writing process, p99 in ms", percentile(here, 99) * 1e3, 50.0)
    report.emit(as_json=chosen.json)


async def _create(path: Path) -> None:
    async with Ledger.open(path):
        return


if __name__ == "__main__":
    main()
