"""Another process on a ledger: appends, or folds until it is killed."""

from __future__ import annotations

import asyncio
import sys

from progress_ledger.ledger.events import Completed, Payload, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections import Projector


async def append(path: str, run_id: str, ticks: str, end: str) -> None:
    """A run with so many ticks, in commits of ten; ``end`` says whether it completes."""
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="other", total=int(ticks)), run_id=run_id)
        for done in range(0, int(ticks), 10):
            events: list[Payload] = [Ticked(done=one + 1) for one in range(done, min(done + 10, int(ticks)))]
            await ledger.append(run_id, events)
        if end == "end":
            await ledger.append(run_id, [Completed()])
    print("appended", flush=True)


async def fold(path: str, prefix: str) -> None:
    """Runs that tick and end without pause, folded and kept, until somebody kills it."""
    async with Ledger.open(path, durability="process") as ledger, Projector.open(ledger):
        print("folding", flush=True)
        number = 0
        while True:
            number += 1
            created = await ledger.create(RunSpec(kind="killed", total=40), run_id=f"{prefix}-{number}")
            for done in range(1, 40):
                await ledger.append(created.run_id, [Ticked(done=done, counts={"ok": done})])
            if number % 3:
                await ledger.append(created.run_id, [Completed()])
            print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(append(*sys.argv[2:]) if sys.argv[1] == "append" else fold(*sys.argv[2:]))
