"""What flows through is measured, not changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.api.commanding import COMMAND, done, environment, events, run_command, runs

PIECE = bytes(range(256)) * 4_000


def test_bytes_flow_through_untouched_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    result = run_command(path, "pipe", "--kind", "copy", stdin=PIECE)
    assert result.status == 0
    assert result.out == PIECE
    (run,) = runs(path)
    assert run[1:] == ("copy", "completed")
    assert done(path, run[0]) == len(PIECE)
    assert events(path)[0]["data"]["unit"] == "bytes"


def test_lines_are_counted_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    run_command(path, "pipe", "--lines", stdin=b"a\nb\nc")
    assert done(path, runs(path)[0][0]) == 2


def test_the_size_of_a_file_is_the_total(tmp_path: Path) -> None:
    path, source = tmp_path / "p.db", tmp_path / "source"
    source.write_bytes(PIECE)
    with source.open("rb") as stdin:
        subprocess.run(
            [*COMMAND, "pipe"],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            env=environment(path),
            check=True,
            timeout=30,
        )
    assert events(path)[0]["data"]["total"] == len(PIECE)


def test_a_reader_that_goes_away_interrupts_the_run(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with subprocess.Popen(
        [*COMMAND, "pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(path)
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        try:
            process.stdin.write(PIECE)
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert process.wait(30) == 1
    assert runs(path)[0][2] == "interrupted"
