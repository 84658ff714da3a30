"""``progress-ledger log`` prints the very bytes of the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.asking import api, on_terminal, program, seen

pytestmark = pytest.mark.anyio


async def test_events_are_printed_as_they_are_stored(tmp_path: Path) -> None:
    async with api(tmp_path / "p.db") as asked:
        await asked.begin("r")
        await asked.append("r", *[{"type": "noted", "data": {"message": "é\u2028"}}] * 600)
        reply = await asked.http.get("/v1/runs/r/events", headers={"Accept": "application/x-ndjson"})
    done = await program("log", "--db", "p.db", "r", cwd=tmp_path)
    assert (done.status, done.errors) == (0, "")
    assert done.output == reply.text
    some = await program("log", "--db", "p.db", "r", "--after", "599", cwd=tmp_path)
    assert some.output.splitlines() == reply.text.splitlines()[599:]


async def test_on_a_terminal_it_is_a_table(tmp_path: Path) -> None:
    async with api(tmp_path / "p.db") as asked:
        await asked.begin("r", kind="qa")
        await asked.append("r", {"type": "failed", "data": {"error": "[bold]no\x1b[2J"}})
    text = seen((await on_terminal("log", "--db", "p.db", "r", cwd=tmp_path)).output)
    assert "v1" in text
    assert "kind=qa" in text
    assert "error=[bold]no\N{REPLACEMENT CHARACTER}[2J" in text
