"""The ledger as its users serve it, publishing on command: every event goes to the disk first."""

from __future__ import annotations

import argparse
import asyncio
import time

import uvloop

from benchmarks.streams.control import message, obey, say
from progress_ledger.api.app import create_app
from progress_ledger.api.drain import Drain
from progress_ledger.api.server import bind, serve_app
from progress_ledger.api.streams.stream import StreamSettings
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector

RUN = "bench"
SPEC = RunSpec(kind="bench", total=10_000_000)


async def main(path: str, replay_limit: int) -> None:
    async with Ledger.open(path) as ledger, Projector.open(ledger) as projector:
        drain = Drain()
        app = create_app(
            ledger,
            projector,
            drain=drain,
            streams=StreamSettings(replay_limit=replay_limit, tail_frames=replay_limit),
        )
        listener = bind("127.0.0.1", 0)
        port = listener.getsockname()[1]
        await ledger.create(SPEC, run_id=RUN)
        serving = asyncio.create_task(serve_app(app, listener, drain=drain, listening=lambda: say(port)))
        done = {RUN: 0}

        def ticks(run_id: str, count: int) -> list[Ticked]:
            before = done[run_id]
            done[run_id] += count
            return [Ticked(done=before + n, message=message(before + n)) for n in range(1, count + 1)]

        async def publish(count: int) -> None:
            await ledger.append(RUN, ticks(RUN, count))

        async def append(seconds: float, run_id: str) -> int:
            if run_id not in done:
                await ledger.create(SPEC, run_id=run_id)
                done[run_id] = 0
            count = 0
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                await ledger.append(run_id, ticks(run_id, 1))
                count += 1
            return count

        await obey(publish, append)
        drain.begin()
        await serving


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--replay-limit", type=int, default=20_000)
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(chosen.path, chosen.replay_limit))
