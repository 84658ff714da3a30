"""A producer in a process of its own, on the ledger's file: ``python -m tests.torture.producer_process``.

Each thing it does is a line on standard output, before it does it (``say``) and after it was told that it is
on disk (``ack``), so that whoever kills it knows what had been acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

from progress_ledger.ledger import Completed, Ledger, LedgerError, Noted, RunSpec, Ticked, open_run

_dice = random.Random()
_step = 0.0


def _tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _clock() -> float:
    # A clock that somebody sets, both ways and by hours.
    global _step
    if _dice.random() < 0.02:
        _step = _dice.choice((0.0, 3600.0, -3600.0, 86_400.0, -5.0))
    return time.time() + _step


async def _appending(path: str, name: str, pause: float) -> None:
    number = 0
    while True:
        try:
            async with Ledger.open(path, clock=_clock) as ledger:
                while True:
                    number += 1
                    await _one_run(ledger, f"{name}.{number}", pause)
        except LedgerError as error:
            _tell(trouble=error.code)
            await asyncio.sleep(0.2)


async def _one_run(ledger: Ledger, run_id: str, pause: float) -> None:
    _tell(run=run_id)
    for step in range(_dice.randrange(5, 400)):
        token = f"{run_id}.{step}"
        _tell(say=token, run=run_id)
        if step == 0:
            spec = RunSpec(kind=_dice.choice(("wash", "bake")), title=token, total=500)
            created = await ledger.create(spec, run_id=run_id)
            receipt = created.receipt
        else:
            event = Noted(message=token) if step % 17 == 0 else Ticked(advance=step % 3, message=token)
            (receipt,) = (await ledger.append(run_id, [event])).receipts
        _tell(ack=token, run=run_id, position=receipt.position, version=receipt.version)
        await asyncio.sleep(_dice.uniform(0, pause))
    token = f"{run_id}.end"
    _tell(say=token, run=run_id)
    (receipt,) = (await ledger.append(run_id, [Completed(message=token)])).receipts
    _tell(ack=token, run=run_id, position=receipt.position, version=receipt.version, over=True)


def _reporting(place: str, name: str, pause: float) -> None:
    number = 0
    while True:
        number += 1
        run_id = f"{name}.{number}"
        _tell(run=run_id, say=f"{run_id}.0")
        total = 0
        with open_run("report", run_id=run_id, ledger=place, title=f"{run_id}.0", patience=30) as run:
            for step in range(1, _dice.randrange(3, 60)):
                for _ in range(_dice.randrange(20)):
                    run.advance(1)
                    total += 1
                token = f"{run_id}.{step}"
                _tell(say=token, run=run_id)
                total += 1
                receipt = run.tick(1, message=token)
                if receipt is not None and receipt.position:
                    _tell(ack=token, run=run_id, position=receipt.position, version=receipt.version)
                time.sleep(_dice.uniform(0, pause))
            token = f"{run_id}.end"
            _tell(say=token, run=run_id)
            receipt = run.complete(token)
            if receipt is not None and receipt.position:
                _tell(ack=token, run=run_id, position=receipt.position, version=receipt.version, over=True)
            statistics = run.statistics
            _tell(left=True, run=run_id)
        if receipt is not None and not (statistics.lost or statistics.refused):
            _tell(sum=total, run=run_id)


def _main() -> None:
    place, name, kind, seed, pause = sys.argv[1:6]
    _dice.seed(seed)
    if kind == "append":
        asyncio.run(_appending(place, name, float(pause)))
    else:
        _reporting(place, name, float(pause))


if __name__ == "__main__":
    _main()
