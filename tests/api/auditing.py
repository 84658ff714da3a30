"""The commands about history, called in this process on a file of their own."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from progress_ledger.api.cli import main
from progress_ledger.projections.projector import Projector
from tests.ledger.histories import BEGAN, fill, ledger_at, ticking


def ledger_file(
    path: Path, *, runs: int = 3, ticks: int = 5, open_runs: int = 0, began: float = BEGAN
) -> Path:
    """A ledger with folded states."""

    async def make() -> None:
        async with ledger_at(path, clock=ticking(began)) as (ledger, _), Projector.open(ledger):
            await fill(ledger, runs=runs, ticks=ticks, open_runs=open_runs)

    anyio.run(make)
    return path


class Said:
    """What a command printed, and its exit status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> Said:
    """Run ``progress-ledger`` with these arguments."""
    status = main([str(argument) for argument in arguments])
    found = capsys.readouterr()
    return Said(status, found.out, found.err)
