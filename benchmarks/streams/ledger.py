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
from progress_ledger.api.stream import StreamSettings
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector

RUN = "bench"


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
        await ledger.create(RunSpec(kind="bench", total=10_000_000), run_id=RUN)
        serving = asyncio.create_task(serve_app(app, listener, drain=drain, listening=lambda: say(port)))
        done = 0

        async def publish(count: int) -> None:
            nonlocal done
            ticks = [Ticked(done=done + n, message=message(done + n)) for n in range(1, count + 1)]
            done += count
            await ledger.append(RUN, ticks)

        async def append(seconds: float) -> int:
            nonlocal done
            count = 0
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                done += 1
                count += 1
                await ledger.append(RUN, [Ticked(done=done, message=message(done))])
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
