"""Running the command line as people do: a process, its output, and the ledger it leaves behind."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

COMMAND = [
    sys.executable,
    "-c",
    "import sys; from progress_ledger.api.cli import main; sys.exit(main())",
]


class Done(NamedTuple):
    status: int
    out: bytes
    err: bytes


def environment(path: Path) -> dict[str, str]:
    return {**os.environ, "PROGRESS_LEDGER_DB": str(path)}


def run_command(path: Path, *arguments: str, stdin: bytes = b"") -> Done:
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        env=environment(path),
        timeout=40,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def runs(path: Path) -> list[tuple[str, str, str]]:
    """(run id, kind, status) of every run, oldest first."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT run_id, kind, status FROM run ORDER BY number").fetchall()
    finally:
        connection.close()


def events(path: Path, run_id: str | None = None) -> list[dict[str, Any]]:
    """Every event in the file, or those of a run."""
    connection = sqlite3.connect(path)
    try:
        bodies = [row[0] for row in connection.execute("SELECT body FROM event ORDER BY position")]
    finally:
        connection.close()
    found = [msgspec.json.decode(body, type=dict[str, Any]) for body in bodies]
    return [event for event in found if run_id is None or event["run_id"] == run_id]


def done(path: Path, run_id: str) -> int:
    """What the ticks of a run come to, folded by hand."""
    total = 0
    for event in events(path, run_id):
        data = event["data"]
        if event["type"] == "ticked":
            total = max(total, data["done"]) if "done" in data else total + data["advance"]
        elif event["type"] == "rewound":
            total = data["done"]
        elif event["type"] == "stage_changed":
            total = 0
    return total
