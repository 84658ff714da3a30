"""A process that writes a log which others write too: ``python -m tests.contract.producer PATH NAME ROUNDS``.

Prints one line for each receipt, ``run_id position version``, and at the end how often it won the slot.
"""

from __future__ import annotations

import asyncio
import sys

from progress_ledger.ledger.errors import SlotTaken, VersionConflict
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger


async def main(path: str, name: str, rounds: int) -> None:
    won = 0
    async with Ledger.open(path, busy_timeout=30) as ledger:
        await ledger.create(RunSpec(kind="shared"), run_id="shared")

        async def mine(number: int) -> None:
            run_id = f"{name}-{number}"
            created = await ledger.create(RunSpec(kind="own"), run_id=run_id)
            print(run_id, created.receipt.position, created.receipt.version)
            for done in range(rounds):
                accepted = await ledger.append(run_id, [Ticked(done=done)])
                print(run_id, accepted.receipts[0].position, accepted.receipts[0].version)

        async def shared() -> None:
            version = 1
            for done in range(rounds):
                while True:
                    try:
                        accepted = await ledger.append(
                            "shared", [Ticked(done=done)], expected_version=version
                        )
                    except VersionConflict as conflict:
                        version = conflict.current_version
                        continue
                    version = accepted.receipts[0].version
                    print("shared", accepted.receipts[0].position, version)
                    break

        async def slot() -> None:
            nonlocal won
            for number in range(rounds):
                run_id = f"{name}-slot-{number}"
                try:
                    created = await ledger.create(RunSpec(kind="slot", slot="only"), run_id=run_id)
                except SlotTaken:
                    continue
                won += 1
                print(run_id, created.receipt.position, created.receipt.version)
                ended = await ledger.append(run_id, [Completed()])
                print(run_id, ended.receipts[0].position, ended.receipts[0].version)

        await asyncio.gather(mine(0), mine(1), shared(), slot())
    print("won", won)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
