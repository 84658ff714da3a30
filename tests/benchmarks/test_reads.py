"""The benchmark of reads runs, and both servers answer bodies of one size."""

from __future__ import annotations

import json
import subprocess
import sys

from tests import tree


def test_it_prints_one_object_with_rows_and_both_bars() -> None:
    command = [sys.executable, "-m", "benchmarks.reads", "--json", "--repeat", "1"]
    command += ["--seconds", "0.1", "--connections", "2"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=50, check=True)
    report = json.loads(done.stdout)
    assert [bar["bar"] for bar in report["bars"]] == [0.7, 0.7]
    assert all(row["value"] > 0 for row in report["rows"])
    assert report["machine"]["bytes_per_answer"] > 500
