"""``progress-ledger ls`` lists runs: a table for people, JSON lines for programs."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from progress_ledger.api.cli import main
from progress_ledger.api.commands import ls
from tests.api.asking import api, on_terminal, program, seen

pytestmark = pytest.mark.anyio


async def _zoo(path: Path) -> None:
    async with api(path) as asked:
        await asked.begin("a", kind="qa", scope="s", labels={"t": "x"}, title="Alpha")
        await asked.begin("b", kind="qa", parent="a")
        await asked.begin("c", kind="sync")
        await asked.append("c", {"type": "failed", "data": {"error": "no"}})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "cba"),
        (("--oldest",), "abc"),
        (("--limit", "2"), "cb"),
        (("--kind", "qa"), "ba"),
        (("--kind", "qa", "--kind", "sync"), "cba"),
        (("--status", "failed"), "c"),
        (("--scope", "s"), "a"),
        (("--label", "t:x"), "a"),
        (("--parent", "a"), "b"),
        (("--stalled",), ""),
        (("-q", "alph"), "a"),
    ],
)
async def test_runs_are_filtered(tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    await _zoo(tmp_path / "p.db")
    done = await program("ls", "--db", "p.db", *options, cwd=tmp_path)
    assert (done.status, done.errors) == (0, "")
    assert [json.loads(line)["run_id"] for line in done.output.splitlines()] == list(expected)


def test_long_lists_are_read_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    async def fill() -> None:
        async with api(tmp_path / "p.db") as asked:
            for number in range(7):
                await asked.begin(f"r{number}")

    anyio.run(fill)
    monkeypatch.setattr(ls, "_PAGE", 2)
    assert main(["ls", "--db", str(tmp_path / "p.db"), "--limit", "5"]) == 0
    ids = [json.loads(line)["run_id"] for line in capsysbinary.readouterr().out.splitlines()]
    assert ids == ["r6", "r5", "r4", "r3", "r2"]


async def test_on_a_terminal_it_is_a_table_with_counts_unless_json_is_asked_for(tmp_path: Path) -> None:
    await _zoo(tmp_path / "p.db")
    table = seen((await on_terminal("ls", "--db", "p.db", cwd=tmp_path)).output)
    assert table.splitlines()[0].split()[:3] == ["run", "kind", "status"]
    assert "2 running, 1 failed" in table
    lines = seen((await on_terminal("ls", "--db", "p.db", "--json", cwd=tmp_path)).output)
    assert [json.loads(line)["run_id"] for line in lines.splitlines()] == ["c", "b", "a"]
    empty = seen((await on_terminal("ls", "--db", "p.db", "--kind", "none", cwd=tmp_path)).output)
    assert empty == "no runs\n"
