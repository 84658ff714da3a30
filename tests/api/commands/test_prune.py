"""`prune` archives beside the ledger unless told otherwise, and says what went."""

from pathlib import Path

import pytest

from tests.api.auditing import command, ledger_file
from tests.ledger.histories import ask

Capture = pytest.CaptureFixture[str]


def test_what_goes_is_archived_and_verifies(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db", open_runs=1, began=1_700_000_000.0)
    dry = command(capsys, "prune", "--db", db, "--older-than", "1d", "--dry-run").lines[0]
    assert (dry["runs"], dry["events"]) == (2, 14)
    done = command(
        capsys, "prune", "--db", db, "--older-than", "1d", "--keep-failed", "--reason", "audit is over"
    )
    assert done.status == 0, done.err
    report = done.lines[0]
    assert (report["runs"], len(report["archives"])) == (1, 1)
    assert Path(report["archives"][0]).parent == tmp_path / "a.db.archive"
    assert command(capsys, "verify", report["archives"][0]).status == 0
    assert command(capsys, "verify", "--db", db).status == 0
    ((labels,),) = ask(db, "SELECT labels FROM run WHERE kind = 'ledger.prune'")
    assert "audit is over" in str(labels)


def test_an_age_is_needed(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    for options in ((), ("--older-than", "x"), ("--older-than", "1d", "--archive", "x", "--no-archive")):
        assert command(capsys, "prune", "--db", db, *options).status == 2
