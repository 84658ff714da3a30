"""Clients that nobody here wrote follow a run over cuts, stops and crashes, with no gap and no repeat.

One scenario for all of them at once: each follows the same run of a real server through a proxy, is cut off
in the middle of a frame, sees the server stop with SIGTERM and start again, and die of SIGKILL and start
again.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from tests.e2e.clients import CLIENTS, NEEDS, command
from tests.e2e.proxy import Proxy
from tests.e2e.site import Site

pytestmark = pytest.mark.timeout(240)

STEPS = 25
BOUND = 60.0
RUN = "followed"

Line = dict[str, Any]


class Follower:
    """A client's process and what it told."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.lines: list[Line] = []
        self.errors = b""
        self.news = asyncio.Event()

    async def listen(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async for line in self.process.stdout:
            self.lines.append(json.loads(line))
            self.news.set()
        self.errors = await self.process.stderr.read()
        self.news.set()

    async def until(self, version: int) -> None:
        """Until it has seen that version, or is beyond hope: its test will say so."""
        with anyio.move_on_after(BOUND):
            while not any(line.get("version", 0) >= version for line in self.lines):
                if self.process.returncode is not None:
                    return
                self.news.clear()
                await self.news.wait()


def usable(name: str) -> str | None:
    """Why a client cannot be used here."""
    missing = [program for program in NEEDS.get(name, ()) if shutil.which(program) is None]
    return f"needs {', '.join(missing)}, not installed here" if missing else None


async def scenario(path: Path) -> dict[str, Follower]:
    site = await anyio.to_thread.run_sync(Site(path).start)
    proxy = Proxy(int(site.url.rpartition(":")[2]))
    port = await proxy.start()
    followers: list[Follower] = []
    done = 0
    try:
        async with Ledger.open(path, durability="process") as ledger, anyio.create_task_group() as tasks:

            async def tick(count: int) -> None:
                nonlocal done
                for _ in range(count):
                    done += 1
                    await ledger.append(RUN, [Ticked(done=done, message=f"sheet {done} \u2028 of many")])
                    await anyio.sleep(0.002)

            async def seen() -> None:
                for follower in followers:
                    await follower.until(done + 1)

            await ledger.create(RunSpec(kind="e2e", total=10_000), run_id=RUN)
            url = f"http://127.0.0.1:{port}/v1/runs/{RUN}/stream"
            for name in CLIENTS:
                if usable(name) is None:
                    program, folder = command(name, url)
                    process = await asyncio.create_subprocess_exec(
                        *program,
                        cwd=folder,
                        stdout=asyncio.subprocess.PIPE,
                        stderr=asyncio.subprocess.PIPE,
                        limit=1 << 20,
                        start_new_session=True,
                    )
                    followers.append(Follower(name, process))
                    tasks.start_soon(followers[-1].listen)
            for follower in followers:
                await follower.until(1)
            await tick(STEPS)
            await seen()
            proxy.cut()
            await tick(STEPS)
            await seen()
            await anyio.to_thread.run_sync(site.terminate)
            await tick(STEPS)
            await anyio.to_thread.run_sync(site.start)
            await tick(STEPS)
            await seen()
            await anyio.to_thread.run_sync(site.kill)
            await tick(STEPS)
            await anyio.to_thread.run_sync(site.start)
            await tick(STEPS)
            await seen()
            await ledger.append(RUN, [Completed()])
            with anyio.move_on_after(BOUND):
                for follower in followers:
                    await follower.process.wait()
            for follower in followers:
                if follower.process.returncode is None:
                    # With what it started: a browser of its own would keep the pipes open.
                    os.killpg(follower.process.pid, signal.SIGKILL)
    finally:
        await proxy.close()
        await anyio.to_thread.run_sync(site.close)
    assert proxy.cuts >= len(followers)
    return {follower.name: follower for follower in followers}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Follower]]:
    path = tmp_path_factory.mktemp("followed") / "ledger.db"
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(anyio.run, scenario, path).result()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.needs(*NEEDS.get(name, ()))] if name in NEEDS else [])
        for name in CLIENTS
    ],
)
def test_a_foreign_client_is_cut_off_and_comes_back_with_no_gap_and_no_repeat(
    name: str, followed: dict[str, Follower]
) -> None:
    follower = followed[name]
    lines = follower.lines
    hellos = [line for line in lines if line["event"] == "hello"]
    assert hellos, (name, lines, follower.errors)
    assert [line["status"] for line in hellos] == ["new", *["resumed"] * (len(hellos) - 1)]
    # Cut in the middle of a frame, drained, killed.
    assert len(hellos) >= 4
    snapshots = [line for line in lines if line["event"] == "snapshot"]
    assert len(snapshots) == 1
    versions = [line["version"] for line in lines if line["event"] in ("started", "ticked", "completed")]
    assert versions == list(range(snapshots[0]["version"] + 1, 6 * STEPS + 3)), (name, follower.errors)
    assert lines[-1]["event"] == "completed"
    assert follower.process.returncode == 0
