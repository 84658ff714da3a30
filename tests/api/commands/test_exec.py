"""A command becomes a run, and nothing of it changes on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.commanding import COMMAND, done, environment, events, run_command, runs

PYTHON = sys.executable


def test_exit_status_0_completes_the_run_and_the_output_is_untouched(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    code = r"import sys; sys.stdout.buffer.write(b'a\x00\xff\r[3/3]\n'); sys.stderr.write('warned\n')"
    result = run_command(path, "exec", "--kind", "job", "--scope", "s", "--", PYTHON, "-c", code)
    assert result == (0, b"a\x00\xff\r[3/3]\n", b"warned\n")
    (run,) = runs(path)
    assert run[1:] == ("job", "completed")
    assert done(path, run[0]) == 3
    assert events(path)[0]["data"]["scope"] == "s"


def test_any_other_status_fails_the_run_with_the_end_of_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    result = run_command(path, "exec", "--", PYTHON, "-c", "import sys; sys.exit('no more tea')")
    assert result.status == 1
    assert events(path)[-1]["data"]["error"] == "exit status 1: no more tea"


def test_a_command_that_is_not_there_fails_with_127(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    result = run_command(path, "exec", "--", "/no/such/program")
    assert result.status == 127
    assert b"Traceback" not in result.err
    assert runs(path)[0][1:] == ("program", "failed")


def test_no_command_is_wrong_usage(tmp_path: Path) -> None:
    assert run_command(tmp_path / "p.db", "exec").status == 2
    assert run_command(tmp_path / "p.db", "exec", "--match", "(", "--", "true").status == 2


@pytest.mark.parametrize(
    ("how", "said", "expected"),
    [
        (("--lines",), "a\nb\nc\n", 3),
        (("--match", r"row (?P<done>\d+) of (?P<total>\d+)"), "row 5 of 9\nrow 7 of 9\n", 7),
        (("--match", "^ok"), "ok\nno\nok\n", 2),
        ((), "[ 50%]\n[ 75%]\n", 75),
        ((), "[2/9] x\n[9/9] y\n", 9),
    ],
)
def test_progress_is_found_in_the_output(
    tmp_path: Path, how: tuple[str, ...], said: str, expected: int
) -> None:
    path = tmp_path / "p.db"
    result = run_command(path, "exec", *how, "--", PYTHON, "-c", f"print({said!r}, end='')")
    assert result.out == said.encode()
    assert done(path, runs(path)[0][0]) == expected


def test_output_that_begins_again_goes_down_by_a_rewind(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    run_command(path, "exec", "--", PYTHON, "-u", "-c", "print('[9/9]'); print('[1/4]')")
    assert done(path, runs(path)[0][0]) == 1


@pytest.mark.parametrize(
    ("sent", "reason"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")], ids=["ctrl-c", "term"]
)
def test_signals_are_handed_on_and_cancel_the_run(tmp_path: Path, sent: signal.Signals, reason: str) -> None:
    path = tmp_path / "p.db"
    code = "import time; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [*COMMAND, "exec", "--", PYTHON, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=environment(path),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(sent)
        process.communicate(timeout=30)
    assert process.returncode == (130 if sent is signal.SIGINT else 143)
    last = events(path)[-1]
    assert (last["type"], last["data"]) == ("cancelled", {"reason": reason})


def test_a_request_to_cancel_stops_the_command(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    code = "import time; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [*COMMAND, "exec", "--run-id", "r", "--", PYTHON, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(path),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        asked = (
            "import asyncio; from progress_ledger.ledger import *\n"
            f"async def m():\n async with Ledger.open({str(path)!r}) as l:\n"
            "  await l.append('r', [CancelRequested(reason='enough')])\nasyncio.run(m())"
        )
        subprocess.run([PYTHON, "-c", asked], check=True, timeout=30)
        process.communicate(timeout=30)
    assert process.returncode == 143
    assert runs(path) == [("r", runs(path)[0][1], "cancelled")]
    assert events(path)[-1]["data"] == {"reason": "enough"}


def test_a_held_slot_keeps_the_command_from_running(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    inner = [*COMMAND, "exec", "--slot", "s", "--", PYTHON, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]
    code = f"import subprocess; raise SystemExit(subprocess.run({inner!r}).returncode)"
    result = run_command(path, "exec", "--slot", "s", "--", PYTHON, "-c", code)
    assert result.status == 1
    assert b"held by run" in result.err
    assert not (tmp_path / "ran").exists()


def test_a_command_notices_that_nobody_reads_any_more(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    endless = (PYTHON, "-c", "import os\nwhile True: os.write(1, b'y' * 65536)")
    child = subprocess.Popen(
        (*COMMAND, "exec", "--", *endless),
        env=environment(path),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    assert child.stdout.read(1) == b"y"
    child.stdout.close()
    assert child.wait(30) != 0
    assert runs(path)[0][2] == "failed"


def test_numbers_that_are_too_large_do_not_hold_the_command_up(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    code = "print('inf'); print('1e999'); print('x' * 300_000); print('7')"
    result = run_command(path, "exec", "--match", r"^(inf|\d\S*)", "--", PYTHON, "-c", code)
    assert (result.status, result.err) == (0, b"")
    assert done(path, runs(path)[0][0]) == 7
