"""``progress-ledger show`` shows one run, as it is and as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.asking import api, on_terminal, program, seen

pytestmark = pytest.mark.anyio


async def test_a_run_is_shown_as_it_is_and_as_it_was(tmp_path: Path) -> None:
    async with api(tmp_path / "p.db") as asked:
        await asked.begin("r", kind="qa", total=4)
        await asked.append("r", {"type": "ticked", "data": {"done": 1}}, {"type": "completed"})
    now = await program("show", "--db", "p.db", "r", cwd=tmp_path)
    assert (now.status, json.loads(now.output)["status"]) == (0, "completed")
    then = await program("show", "--db", "p.db", "r", "--at", "v2", cwd=tmp_path)
    assert (json.loads(then.output)["percent"], json.loads(then.output)["status"]) == (25.0, "running")
    table = seen((await on_terminal("show", "--db", "p.db", "r", cwd=tmp_path)).output)
    assert "100.0 %" in table
    assert "completed" in table
