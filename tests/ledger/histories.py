"""Ledger files with a known history, for the tests of what is kept, proven and removed."""

import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from progress_ledger.ledger.audit.tree import Tree
from progress_ledger.ledger.events import Completed, Failed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.sqlite import SQLiteLog

BEGAN = 1_800_000_000.0


def ticking(start: float = BEGAN) -> Callable[[], float]:
    """A clock that moves by a second at each look."""
    seconds = itertools.count(start)
    return lambda: float(next(seconds))


async def fill(
    ledger: Ledger, *, runs: int = 3, ticks: int = 5, prefix: str = "run", open_runs: int = 0
) -> None:
    """Runs whose events lie between each other's; the second one fails, the last ``open_runs`` go on."""
    names = [f"{prefix}-{number}" for number in range(runs)]
    for number, name in enumerate(names):
        slot = "only" if number == 0 else None
        await ledger.create(
            RunSpec(kind="bulk_qa", total=ticks, slot=slot, labels={"n": str(number)}), run_id=name
        )
    for done in range(1, ticks + 1):
        for name in names:
            await ledger.append(
                name, [Ticked(done=done, counts={"passed": done}, message=f"{done} of {ticks}")]
            )
    for number, name in enumerate(names[: runs - open_runs]):
        await ledger.append(name, [Failed(error="boom") if number == 1 else Completed(result={"n": number})])


@asynccontextmanager
async def ledger_at(
    path: Path, *, clock: Callable[[], float] | None = None
) -> AsyncIterator[tuple[Ledger, Tree]]:
    """An open ledger with its tree."""
    async with Ledger.open(path, clock=clock or ticking(), durability="process") as ledger:
        assert isinstance(ledger.log, SQLiteLog)
        yield ledger, Tree(ledger.log)


async def make(path: Path, *, runs: int = 3, ticks: int = 5, open_runs: int = 0, fold: bool = True) -> Path:
    """A ledger file with a folded tree."""
    async with ledger_at(path) as (ledger, tree):
        await fill(ledger, runs=runs, ticks=ticks, open_runs=open_runs)
        if fold:
            await tree.catch_up()
    return path


def tamper(path: Path, *statements: str) -> None:
    """What somebody with the file and the sqlite3 shell can do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    """Rows as they lie in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()
