"""`replay` shows a run again, from where and to where it was asked."""

import signal
from pathlib import Path

import anyio
import httpx
import pytest

from tests.api.asking import PROGRAM, environment
from tests.api.auditing import command, ledger_file

Capture = pytest.CaptureFixture[str]


def test_a_part_of_a_run_is_shown_again(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    said = command(capsys, "replay", "--db", db, "run-0", "--speed", "max", "--from", "v3", "--to", "v5")
    assert said.status == 0, said.err
    assert [(run["version"], run["done"]) for run in said.lines] == [(3, 2), (4, 3), (5, 4)]
    whole = command(capsys, "replay", "--db", db, "run-0", "--speed", "max").lines
    assert (len(whole), whole[-1]["status"]) == (7, "completed")


def test_wrong_usage(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    assert command(capsys, "replay", "--db", db, "run-0", "--speed", "0").status == 2
    assert command(capsys, "replay", "--db", db, "run-0", "--from", "soon").status == 2
    assert command(capsys, "replay", "--db", db, "nobody").status == 1


@pytest.mark.anyio
async def test_a_page_can_follow_what_is_played(tmp_path: Path) -> None:
    db = await anyio.to_thread.run_sync(ledger_file, tmp_path / "a.db")
    arguments = ("replay", "--db", str(db), "run-0", "--speed", "max", "--serve")
    async with await anyio.open_process([*PROGRAM, *arguments], env=environment(), stderr=None) as process:
        assert process.stdout is not None
        with anyio.fail_after(20):
            line = (await process.stdout.receive()).decode()
            async with httpx.AsyncClient(base_url=line.split()[-1]) as http:
                while (await http.get("/v1/runs/run-0")).json().get("status") != "completed":  # noqa: ASYNC110
                    await anyio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(20):
            assert await process.wait() == 0
