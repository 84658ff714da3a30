"""Other processes for tests of producers, and a look at what they left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
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
        while (await head_of(ledger, run_id)).active:
            await anyio.sleep(0.02)
    return await head_of(ledger, run_id)


def advanced(events: list[dict[str, Any]]) -> int:
    """The sum of what was added."""
    return sum(event["data"].get("advance", 0) for event in events)
