"""Per-scope ingest: thirty scopes at once, each a run; estimates are missing, wrong or zero; one stalls.

    python docs/examples/scope_ingest.py

An asynchronous producer. Every scope counts first what there may be, with a limit on the time that takes,
and then fetches, normalises and persists. The list shows all of them, those that go, and the one that
does not.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from serving import ask, serving

from progress_ledger.ledger import Ledger

STAGES = ["pre_flight", "fetching", "normalizing", "persisting"]
ESTIMATE_SECONDS = 0.2


async def estimate(scope: int, items: int) -> int | None:
    """What there may be: right, far too low, zero, or no answer in time."""

    async def count() -> int:
        if scope % 10 == 1:
            await asyncio.sleep(60)
        return {2: items // 2, 3: 0}.get(scope % 10, items)

    try:
        async with asyncio.timeout(ESTIMATE_SECONDS):
            return await count()
    except TimeoutError:
        return None


async def ingest(ledger: Ledger, scope: int, items: int, stuck: asyncio.Event) -> None:
    name = f"github:repo:acme/project-{scope:02}"
    async with ledger.run(
        "ingest",
        run_id=f"scope-{scope:02}",
        scope=name,
        stages=STAGES,
        labels={"tenant": "a" if scope % 2 else "b"},
        stall_seconds=1.0,
    ) as run:
        await run.stage("pre_flight")
        total = await estimate(scope, items)
        await run.stage("fetching", total=total)
        for number in range(items):
            if scope == 7 and number == items // 2:
                await stuck.wait()
            if scope == 5 and number == items // 2:
                raise ConnectionError("x" * 9_000)
            run.advance(1)
            await asyncio.sleep(0.002)
        for stage in ("normalizing", "persisting"):
            await run.stage(stage, total=items)
            run.advance(items)


async def ingest_all(db: str, url: str, scopes: int, items: int, found: dict[str, Any]) -> None:
    stuck = asyncio.Event()
    async with Ledger.open(db) as ledger:
        jobs = [asyncio.create_task(ingest(ledger, scope, items, stuck)) for scope in range(scopes)]

        async def get(path: str) -> Any:
            return (await asyncio.to_thread(ask, f"{url}/v1/{path}")).body

        active = await get("runs?kind=ingest")
        while active["counts"]["running"] + active["counts"]["stalled"] < scopes and not any(
            job.done() for job in jobs
        ):
            await asyncio.sleep(0.02)
            active = await get("runs?kind=ingest")
        found["active"] = active
        await asyncio.wait([job for number, job in enumerate(jobs) if number != 7])
        found["stalled"] = await get("runs?kind=ingest&stalled=true")
        while True:  # until its silence is long enough
            if found["stalled"]["runs"]:
                break
            await asyncio.sleep(0.05)
            found["stalled"] = await get("runs?kind=ingest&stalled=true")
        stuck.set()
        await asyncio.gather(*jobs, return_exceptions=True)
        found["all"] = await get("runs?kind=ingest&limit=500")
        found["failed"] = await get("runs?kind=ingest&status=failed")
        found["tenant"] = await get("runs?kind=ingest&label=tenant:a")
        found["one"] = await get("runs?scope=github:repo:acme/project-02")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scopes", type=int, default=30)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON only")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        db = str(Path(folder) / "progress.db")
        with serving(db) as url:
            asyncio.run(ingest_all(db, url, arguments.scopes, arguments.items, found))
    if arguments.json:
        print(json.dumps(found))
        return
    print("at once:", found["active"]["counts"])
    print("stalled:", [run["scope"] for run in found["stalled"]["runs"]], found["stalled"]["counts"])
    for run in found["all"]["runs"]:
        error = (run["error"] or "")[:40]
        over = "over its estimate" if run["over_total"] else ""
        print(f"{run['scope']}  {run['status']:10} {run['done']}/{run['total']}  {over}{error}")


if __name__ == "__main__":
    main()
