"""The benchmark of readers beside an import runs, and the bundle holds as many events as it was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import import_readers
from tests import tree


def test_it_prints_one_object_with_rows_and_its_bar() -> None:
    command = [sys.executable, "-m", "benchmarks.import_readers", "--json", "--repeat", "1"]
    command += ["--events", "2000", "--idle", "0.2"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=55, check=True)
    report = json.loads(done.stdout)
    assert [bar["bar"] for bar in report["bars"]] == [3]
    assert all(row["value"] > 0 for row in report["rows"])


def test_a_long_bundle_is_made_of_copies_and_verifies(tmp_path: Path) -> None:
    bundle = import_readers.make_bundle(tmp_path, 20_000)
    with bundle.open("rb") as lines:
        assert sum(1 for _ in lines) == 20_000
    into = tmp_path / "into.db"
    command = [*import_readers.PROGRAM, "import", "--db", str(into), "--json", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=True)
    assert json.loads(done.stdout)["events"] == 20_000
