"""`import` takes bundles in and refuses by itself what it cannot."""

from pathlib import Path

import pytest

from tests.api.auditing import command, ledger_file

Capture = pytest.CaptureFixture[str]


def test_finished_runs_come_in_and_open_ones_are_refused(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db", open_runs=1)
    assert command(capsys, "export", "--db", db, "--all", "-o", tmp_path / "all").status == 0
    said = command(capsys, "import", "--db", tmp_path / "b.db", tmp_path / "all")
    assert (said.status, said.lines[0]["runs"], list(said.lines[0]["refused"])) == (1, 2, ["run-2"])
    assert command(capsys, "verify", "--db", tmp_path / "b.db").status == 0


def test_a_damaged_bundle_is_refused_whole(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    assert command(capsys, "export", "--db", db, "--run", "run-0", "-o", tmp_path / "r").status == 0
    (tmp_path / "r").write_bytes((tmp_path / "r").read_bytes().replace(b'"done":2', b'"done":3'))
    said = command(capsys, "import", "--db", tmp_path / "b.db", tmp_path / "r")
    assert said.status == 1
    assert "nothing was imported" in said.err
