"""The benchmark of the live fold runs, and no event is left out of the lags."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import live_fold
from tests import tree

pytestmark = pytest.mark.anyio


def test_it_prints_one_object_with_rows_and_three_bars() -> None:
    command = [sys.executable, "-m", "benchmarks.live_fold", "--json", "--repeat", "1"]
    command += ["--events", "320", "--tasks", "16"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=50, check=True)
    report = json.loads(done.stdout)
    assert [bar["bar"] for bar in report["bars"]] == [0.25, 0.25, 50]
    assert all(row["value"] > 0 for row in report["rows"])


async def test_each_event_has_its_lag(tmp_path: Path) -> None:
    lags = live_fold.Lags()
    await live_fold.append(tmp_path / "progress.db", tasks=4, events=40, lags=lags)
    assert len(lags.seconds) == 44
