"""`backup` copies and restores, and says whether the copy goes on as the old log."""

from pathlib import Path

import pytest

from tests.api.auditing import command, ledger_file

Capture = pytest.CaptureFixture[str]


def test_a_copy_is_made_and_put_into_use(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    made = command(capsys, "backup", "--db", db, tmp_path / "copy.db").lines[0]
    back = command(capsys, "backup", "--db", tmp_path / "b.db", "--restore", tmp_path / "copy.db").lines[0]
    assert back["proven"] is False
    assert back["epoch"] != made["copied_from"]
    same = command(
        capsys, "backup", "--db", tmp_path / "c.db", "--restore", tmp_path / "copy.db", "--lost", db
    ).lines[0]
    assert (same["proven"], same["epoch"]) == (True, made["copied_from"])
    assert command(capsys, "verify", "--db", tmp_path / "c.db").status == 0


def test_wrong_usage(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    assert command(capsys, "backup", "--db", db).status == 2
    assert command(capsys, "backup", "--db", db, db).status == 1
    assert command(capsys, "backup", "--db", tmp_path / "new.db", "--restore", db).status == 1
