"""What does a durable receipt cost beside the bare cost of the disk?

Many tasks each append one event, wait for its receipt (the event is then on disk) and append the next:
through the door, the rules, the group commit, the fold of a projector and the encoding of a stream's frame.
Beside it, in the same run: raw ``sqlite3`` that commits the very same bytes in batches of as many events as
there are tasks, and a commit per event through ``aiosqlite``. Where the time goes shows in the rows that stop
before the frame, and before the fold; in a group commit made by hand, where as many tasks wait for rows that
are ready to be written, and nothing is checked, decided, folded or shown; and in what a fold and a frame take
by themselves.

What this does not show: the cost of HTTP, other processes that write the same file, and disks whose fsync is
slower than this one's (there the two sides come closer).
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import aiosqlite

from benchmarks.harness import Report, interleave, machine, medians, options, percentile, spread
from progress_ledger.api.streams.framing import encode_event
from progress_ledger.ledger import codec
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Recorded
from progress_ledger.projections.projector import Projector
from progress_ledger.projections.state import RunState
from progress_ledger.projections.states import States

TABLE = "CREATE TABLE event (position INTEGER PRIMARY KEY, run INTEGER, previous INTEGER, body TEXT) STRICT"
INSERT = "INSERT INTO event (position, run, previous, body) VALUES (?, ?, ?, ?)"

Reach = Literal["receipt", "fold", "frames"]
Loop = Callable[[], asyncio.AbstractEventLoop] | None
Rows = list[tuple[int, int, int, str]]


class Frames:
    """Encodes each event's frame, as is done once for all streams that show it, and keeps none."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.bytes = 0

    def folded(self, recorded: Recorded, state: RunState) -> None:
        self.bytes += len(encode_event(recorded, state, epoch=self.epoch, mode="change").frame)

    def settled(self) -> None:
        return


async def through_the_ledger(
    path: Path, *, tasks: int, events: int, path_to: Reach = "frames"
) -> tuple[float, list[float]]:
    """Seconds for all events, and each one's wait, on the way as far as ``path_to``."""
    waits: list[float] = []
    async with Ledger.open(path) as ledger:

        async def producer(number: int, run_id: str, mine: int) -> None:
            for done in range(mine):
                began = time.perf_counter()
                await ledger.append(run_id, [Ticked(done=done, message=f"{done} of {mine} sheets")])
                waits.append(time.perf_counter() - began)

        async def all_of_them() -> float:
            runs = [f"run-{number}" for number in range(tasks)]
            await asyncio.gather(
                *(ledger.create(RunSpec(kind="bench", total=events), run_id=run_id) for run_id in runs)
            )
            waits.clear()
            share, more = divmod(events, tasks)
            began = time.perf_counter()
            await asyncio.gather(*(producer(n, run_id, share + (n < more)) for n, run_id in enumerate(runs)))
            return time.perf_counter() - began

        if path_to == "receipt":
            return await all_of_them(), waits
        async with Projector.open(ledger) as projector:
            if path_to == "frames":
                projector.follow(Frames(ledger.epoch))
            seconds = await all_of_them()
            assert projector.position == events + tasks
            return seconds, waits


def through_sqlite(path: Path, rows: Rows, *, batch: int) -> float:
    """Seconds for the same rows in transactions of ``batch``, each on disk before the next begins."""
    with closing(_fresh(path)) as connection:
        began = time.perf_counter()
        for start in range(0, len(rows), batch):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, rows[start : start + batch])
            connection.execute("COMMIT")
        return time.perf_counter() - began


def _fresh(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(TABLE)
    return connection


async def a_commit_per_event(path: Path, rows: Rows, *, tasks: int) -> float:
    """Seconds for the same rows when each task commits its own row through aiosqlite."""
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.execute(TABLE)
        lock = asyncio.Lock()

        async def producer(mine: Rows) -> None:
            for row in mine:
                async with lock:
                    await connection.execute("BEGIN IMMEDIATE")
                    await connection.execute(INSERT, row)
                    await connection.execute("COMMIT")

        began = time.perf_counter()
        await asyncio.gather(*(producer(rows[n::tasks]) for n in range(tasks)))
        return time.perf_counter() - began


async def by_hand(path: Path, rows: Rows, *, tasks: int) -> float:
    """Seconds for the same rows when each task waits until its row is committed with those of the others."""
    loop = asyncio.get_running_loop()
    connection = _fresh(path)
    waiting: list[tuple[tuple[int, int, int, str], asyncio.Future[None]]] = []
    wake = asyncio.Event()

    def commit(batch: Rows) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, batch)
        connection.execute("COMMIT")

    async def write(thread: ThreadPoolExecutor) -> None:
        while await wake.wait():
            wake.clear()
            batch = waiting[:]
            waiting.clear()
            await loop.run_in_executor(thread, commit, [row for row, _ in batch])
            for _, receipt in batch:
                receipt.set_result(None)

    async def producer(mine: Rows) -> None:
        for row in mine:
            receipt = loop.create_future()
            waiting.append((row, receipt))
            wake.set()
            await receipt

    with ThreadPoolExecutor(1) as thread, closing(connection):
        writer = asyncio.create_task(write(thread))
        began = time.perf_counter()
        await asyncio.gather(*(producer(rows[n::tasks]) for n in range(tasks)))
        seconds = time.perf_counter() - began
        writer.cancel()
        return seconds


def the_frame_alone(rows: Rows) -> float:
    """Seconds to fold the events of ``rows`` and encode their frames, which are read beforehand."""
    states, frames = States(), Frames("0" * 16)
    recorded: list[Recorded] = []
    for position, _, previous, body in rows:
        if not previous:
            states.fold(codec.decode(body.encode("ascii"), position))
        else:
            recorded.append(Recorded(body.encode("ascii"), codec.decode(body.encode("ascii"), position)))
    began = time.perf_counter()
    for one in recorded:
        state = states.fold(one.event)
        assert state is not None
        frames.folded(one, state)
    return (time.perf_counter() - began) / len(recorded)


def rows_of(path: Path) -> Rows:
    """The rows the ledger wrote."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT position, run, previous, body FROM event").fetchall()


def ticks_of(rows: Rows) -> Rows:
    """Without the first events of the runs, which are written before the clock runs."""
    return [row for row in rows if row[2]]


def pragmas_of(path: Path) -> dict[str, Any]:
    """As the ledger's writing connection has them, where the file keeps them; the rest by name."""
    with sqlite3.connect(path) as connection:
        names = ("journal_mode", "page_size")
        kept = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
    return kept | {"synchronous": "FULL"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=20_000, help="events of one round")
    parser.add_argument("--tasks", type=int, default=64, help="tasks that append at a time")
    parser.add_argument(
        "--loop", choices=("uvloop", "asyncio"), default="uvloop", help="`serve` runs on uvloop"
    )
    chosen = parser.parse_args(arguments)

    loop: Loop = None
    if chosen.loop == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop

    with tempfile.TemporaryDirectory(prefix="benchmark-append-") as folder:
        fresh = (Path(folder) / f"{number}.db" for number in range(1_000_000))
        waits: dict[str, list[float]] = {}

        def run(coroutine: Coroutine[Any, Any, float]) -> float:
            with asyncio.Runner(loop_factory=loop) as runner:
                return runner.run(coroutine)

        async def ledger_rate(name: str, tasks: int, events: int, path_to: Reach = "frames") -> float:
            seconds, waits[name] = await through_the_ledger(
                next(fresh), tasks=tasks, events=events, path_to=path_to
            )
            return events / seconds

        async def naive_rate(rows: Rows) -> float:
            return len(rows) / await a_commit_per_event(next(fresh), rows, tasks=chosen.tasks)

        async def hand_rate() -> float:
            return len(rows) / await by_hand(next(fresh), rows, tasks=chosen.tasks)

        def raw_rate(rows: Rows, batch: int) -> float:
            return len(rows) / through_sqlite(next(fresh), rows, batch=batch)

        seed = next(fresh)
        run(_first(through_the_ledger(seed, tasks=chosen.tasks, events=chosen.events)))
        written = rows_of(seed)
        rows = ticks_of(written)
        few = max(chosen.events // 10, 100)
        together = f"ledger, {chosen.tasks} tasks"
        raw = f"sqlite3, batches of {chosen.tasks}"
        folded = f"ledger, {chosen.tasks} tasks, no stream open"
        bare = f"ledger, {chosen.tasks} tasks, no projector"
        hand = f"group commit by hand, {chosen.tasks} tasks"
        results = interleave(
            {
                together: lambda: run(ledger_rate(together, chosen.tasks, chosen.events)),
                raw: partial(raw_rate, rows, chosen.tasks),
                "aiosqlite, a commit per event": lambda: run(naive_rate(rows[:few])),
                folded: lambda: run(ledger_rate(folded, chosen.tasks, chosen.events, "fold")),
                bare: lambda: run(ledger_rate(bare, chosen.tasks, chosen.events, "receipt")),
                hand: lambda: run(hand_rate()),
                "ledger, 1 task": lambda: run(ledger_rate("ledger, 1 task", 1, few)),
                "sqlite3, batches of 1": partial(raw_rate, rows[:few], 1),
                "ledger, 1000 tasks": lambda: run(ledger_rate("ledger, 1000 tasks", 1000, chosen.events)),
                "sqlite3, batches of 1000": partial(raw_rate, rows, 1000),
            },
            chosen.repeat,
        )
        alone = median(the_frame_alone(written) for _ in range(chosen.repeat))
        middle = medians(results)
        described = machine(
            pragmas=pragmas_of(seed), loop=chosen.loop, events=chosen.events, bytes_per_event=_mean(rows)
        )

    report = Report("A durable receipt, beside the bare disk", described)
    for name, value in middle.items():
        report.row(name, value, "events/s")
        if name in waits:
            report.row(f"{name}: wait p50", percentile(waits[name], 50) * 1e3, "ms")
            report.row(f"{name}: wait p99", percentile(waits[name], 99) * 1e3, "ms")
    report.row("an event's fold and frame, by themselves", alone * 1e6, "µs")
    report.row("spread of the first two, largest", max(spread(results[together]), spread(results[raw])), "×")
    report.at_least(f"{together} / {raw}", middle[together] / middle[raw], 0.4)
    report.at_least(f"{bare} / {raw}", middle[bare] / middle[raw], 0.5)
    report.at_least(
        f"{together} / a commit per event", middle[together] / middle["aiosqlite, a commit per event"], 10
    )
    report.emit(as_json=chosen.json)


async def _first(measured: Coroutine[Any, Any, tuple[float, list[float]]]) -> float:
    return (await measured)[0]


def _mean(rows: Rows) -> float:
    return round(sum(len(row[3]) for row in rows) / len(rows), 1)


if __name__ == "__main__":
    main()
