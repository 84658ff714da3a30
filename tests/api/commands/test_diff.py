"""`diff` shows what changed between two points, field by field."""

from pathlib import Path

import pytest

from progress_ledger.api.commands.diff import differences
from tests.api.auditing import command, ledger_file

Capture = pytest.CaptureFixture[str]


def test_stages_and_counts_are_told_apart() -> None:
    before = {"done": 1, "counts": {"a": 1}, "stages": [{"name": "x", "done": 1}]}
    after = {"done": 1, "counts": {"a": 2, "b": 1}, "stages": [{"name": "x", "done": 3}]}
    assert differences(before, after) == {"counts.a": (1, 2), "counts.b": (None, 1), "stages.x.done": (1, 3)}


def test_two_points_of_a_run(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    told = command(capsys, "diff", "--db", db, "run-0", "v2", "v4").lines[0]
    assert (told["a"], told["b"], told["changes"]["done"]) == (2, 4, [1, 3])
    assert command(capsys, "diff", "--db", db, "run-0", "v2", "v99").status == 1
