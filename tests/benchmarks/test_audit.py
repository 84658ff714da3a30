"""The benchmark of audits runs and says what it measured in one object."""

import json
import subprocess
import sys

from tests import tree


def test_it_prints_one_object_with_rows_and_bars() -> None:
    command = [sys.executable, "-m", "benchmarks.audit", "--json", "--repeat", "1"]
    command += ["--events", "16080", "--appends", "1280", "--pruned", "8040", "--idle", "0.3"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=55, check=True)
    report = json.loads(done.stdout)
    assert [bar["bar"] for bar in report["bars"]] == [0.25, 0.5, 20.0, 0.5, 1.6, 20.0, 20.0]
    assert all(row["value"] > 0 for row in report["rows"])
