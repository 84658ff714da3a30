"""``progress-ledger doctor`` looks at a file, changes nothing, and ends with 1 when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import anyio.to_thread
import pytest

from progress_ledger.api.cli import main
from progress_ledger.api.commands import doctor
from progress_ledger.api.console.doctor import Finding
from progress_ledger.api.tokens import tokens_path
from tests.api.asking import api, on_terminal, program, seen

pytestmark = pytest.mark.anyio


async def test_a_sound_file_ends_with_0_and_says_what_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("r", total=1)
        await asked.append("r", {"type": "ticked", "data": {"done": 1}}, {"type": "completed"})
    before = path.read_bytes()
    done = await program("doctor", "--db", str(path), cwd=tmp_path)
    found = [json.loads(line) for line in done.output.splitlines()]
    assert done.status == 0, found
    assert all(finding["level"] != "problem" for finding in found)
    assert "1 runs and 3 events" in found[-1]["detail"]
    assert path.read_bytes() == before


async def test_tokens_that_others_can_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path):
        pass
    made = await program("token", "new", "--db", str(path), "--role", "reader", cwd=tmp_path)
    assert made.status == 0
    tokens_path(path).chmod(0o644)
    done = await program("doctor", "--db", str(path), cwd=tmp_path)
    codes = {json.loads(line)["code"] for line in done.output.splitlines()}
    assert (done.status, "tokens_readable" in codes) == (0, True)


async def test_a_problem_is_the_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding("problem", "disk_low", "The disk is nearly full.")
    monkeypatch.setattr(doctor, "of_file", lambda facts: [finding])
    path = tmp_path / "p.db"
    async with api(path):
        pass
    # The command runs a loop of its own.
    assert await anyio.to_thread.run_sync(main, ["doctor", "--db", str(path), "--json"]) == 1


async def test_people_get_a_word_beside_each_finding(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path):
        pass
    done = await on_terminal("doctor", "--db", str(path), cwd=tmp_path)
    assert "ok  Looked at the newest 0 runs" in seen(done.output)


async def test_without_a_file_it_says_so(tmp_path: Path) -> None:
    done = await program("doctor", "--db", "none.db", cwd=tmp_path)
    assert done.status == 1
    assert "none.db" in done.errors
    assert not (tmp_path / "none.db").exists()
