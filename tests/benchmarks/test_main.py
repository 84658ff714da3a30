"""All benchmarks are run by one command, and a trial leaves the page alone unless told where to put it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.__main__ import DOCS
from tests import tree


def test_a_trial_is_written_only_where_it_is_told_to(tmp_path: Path) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in DOCS.iterdir())
    command = [sys.executable, "-m", "benchmarks", "--quick", "live_fold"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=50, check=True)
    assert "share of the append rate" in done.stdout
    assert sorted((path.name, path.stat().st_mtime_ns) for path in DOCS.iterdir()) == before
    docs = tmp_path / "pages"
    subprocess.run(
        [*command, "--docs", str(docs)], cwd=tree.ROOT, capture_output=True, timeout=50, check=True
    )
    assert sorted(path.name for path in docs.iterdir()) == [
        "performance.json",
        "performance.md",
        "performance.svg",
    ]
    assert json.loads((docs / "performance.json").read_text("utf-8"))["live_fold"]["trial"] is True
    assert "Tried only" in (docs / "performance.md").read_text("utf-8")


def test_an_unknown_benchmark_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks", "nonsense"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
