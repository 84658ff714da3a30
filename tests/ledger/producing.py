"""Other processes for tests of producers, and a look at what they left."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import anyio
import msgspec

from progress_ledger.ledger import Ledger
from progress_ledger.ledger.log import RunHead

PRELUDE = """
import os, sys, threading, time
from progress_ledger.ledger import *
path = sys.argv[1]
"""


@contextmanager
def process(path: Path, code: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A Python process with ``path`` and the package's names at hand; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PRELUDE + code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            yield child, child.stdout
        finally:
            child.kill()


def run_process(path: Path, code: str) -> str:
    """Run it to its end; its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + code, str(path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def events_of(ledger: Ledger, run_id: str) -> list[dict[str, Any]]:
    """Every event of a run, as stored."""
    stored = await ledger.log.read_run(run_id, limit=100_000)
    return [msgspec.json.decode(each.body or b"", type=dict[str, Any]) for each in stored]


async def types_of(ledger: Ledger, run_id: str) -> list[str]:
    return [event["type"] for event in await events_of(ledger, run_id)]


async def head_of(ledger: Ledger, run_id: str) -> RunHead:
    head = await ledger.log.run(run_id)
    assert head is not None
    return head


async def ended(ledger: Ledger, run_id: str) -> RunHead:
    """Wait until the run is over."""
    with anyio.fail_after(30):
        while True:
            head = await head_of(ledger, run_id)
            if not head.active:
                return head
            await anyio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, for half a minute at most."""
    with anyio.fail_after(30):
        while True:
            if condition():
                return
            await anyio.sleep(0.02)


def tick_from_threads(advance: Callable[[], object], *, threads: int = 4, times: int) -> None:
    """Call it from several threads at once, and wait for them."""

    def loop() -> None:
        for _ in range(times):
            advance()

    started = [threading.Thread(target=loop) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def advanced(events: list[dict[str, Any]]) -> int:
    """The sum of what was added."""
    return sum(event["data"].get("advance", 0) for event in events)
