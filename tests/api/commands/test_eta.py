"""`progress-ledger eta` says what a kind has taught, and explains a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from progress_ledger.api.commands.eta import kind_lines, run_lines

from ..asking import api, program
from ..routes.test_kinds import _run

pytestmark = pytest.mark.anyio


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    async with api(path) as http:
        for run_id in ("a", "b", "c"):
            await _run(http, run_id)
        await _run(http, "d", until=10)
    return path


async def _told(file: Path, *arguments: str) -> list[dict[str, Any]]:
    done = await program("eta", "--db", str(file), *arguments, cwd=file.parent)
    assert done.status == 0, done.errors
    return [json.loads(line) for line in done.output.splitlines()]


async def test_kinds_and_runs_come_as_lines_of_json(file: Path) -> None:
    (kind,) = await _told(file)
    (same,) = await _told(file, "job")
    (run,) = await _told(file, "--explain", "d", "--json")
    assert kind["kind"] == same["kind"] == "job"
    assert run["run_id"] == "d"
    assert run["eta_basis"] == "history:3"


async def test_what_is_asked_wrongly_or_not_there_is_one_sentence(file: Path) -> None:
    for arguments, status in ((("job", "--explain", "d"), 2), (("other",), 1), (("--explain", "nobody"), 1)):
        done = await program("eta", "--db", str(file), *arguments, cwd=file.parent)
        assert done.status == status
        (line,) = done.errors.splitlines()
        assert line.startswith("progress-ledger: ")


async def test_people_get_sentences(file: Path) -> None:
    (kind,) = await _told(file, "job")
    (run,) = await _told(file, "--explain", "d")
    told = "\n".join(kind_lines(kind))
    assert "within 20 % of the truth 100% of the time, last 3 runs" in told
    assert "50 %:" in told
    told = "\n".join(run_lines(run))
    assert told.startswith("d (job): ")
    assert "by history:3" in told
    assert "at 50 % it said" in told
