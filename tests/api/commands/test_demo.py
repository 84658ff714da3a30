"""``progress-ledger demo`` does the main job on real input and says how it went."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.api.asking import on_terminal, program, seen

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


@pytest.fixture
def small(tmp_path: Path) -> dict[str, str]:
    """An environment in which the standard library is small: a real one takes a while to hash."""
    folder = tmp_path / "small"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03}").write_bytes(b"x" * 200_000)
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(
        "import sysconfig\n"
        "def get_path(name, *rest, **more):\n"
        f"    return {str(folder)!r}\n"
        "sysconfig.get_path = get_path\n"
    )
    return {"PYTHONPATH": str(hook)}


async def test_without_a_terminal_it_ends_with_a_summary(tmp_path: Path, small: dict[str, str]) -> None:
    done = await program("demo", "--db", "d.db", cwd=tmp_path, **small)
    assert done.status == 0, done.errors
    assert done.errors == ""
    for line in (
        "gaps             0",
        "repeats          0",
        "connection cut   1 time, resumed with Last-Event-ID",
        "outcome          completed",
    ):
        assert line in done.output
    appended = int(re.findall(r"events appended +(\d+)", done.output)[0])
    assert f"file             {tmp_path / 'd.db'}" in done.output
    run_id = re.findall(r"URL +http://127\.0\.0\.1:\d+/v1/runs/(\S+)", done.output)[0]
    assert re.search(rf"curl -N http://127\.0\.0\.1:\d+/v1/runs/{run_id}/stream", done.output)
    log = await program("log", "--db", "d.db", run_id, cwd=tmp_path)
    events = [json.loads(line) for line in log.output.splitlines()]
    assert [event["version"] for event in events] == list(range(1, appended + 1))
    shown = await program("show", "--db", "d.db", run_id, cwd=tmp_path)
    assert json.loads(shown.output)["counts"]["files"] == 200


async def test_on_a_terminal_it_draws_a_bar_and_ends_when_asked_to(
    tmp_path: Path, small: dict[str, str]
) -> None:
    done = await on_terminal("demo", "--db", "d.db", "--exit", cwd=tmp_path, env=small)
    text = seen(done.output)
    assert done.status == 0, text
    assert "100.0 %" in text
    assert "█" in text
    assert "repeats          0" in text


async def test_on_a_terminal_it_stays_up_until_ctrl_c(tmp_path: Path, small: dict[str, str]) -> None:
    done = await on_terminal(
        "demo", "--db", "d.db", cwd=tmp_path, until="Ctrl-C ends it", keys=b"\x03", env=small
    )
    assert done.status == 0, done.output
    assert "Traceback" not in done.output


async def test_ctrl_c_in_the_middle_cancels_the_run(tmp_path: Path) -> None:
    done = await on_terminal("demo", "--db", "d.db", cwd=tmp_path, until="scan", keys=b"\x03")
    assert done.status == 128 + signal.SIGINT
    assert "Traceback" not in done.output
    listed = await program("ls", "--db", "d.db", cwd=tmp_path)
    assert json.loads(listed.output)["status"] == "cancelled"
