"""The benchmark of growing files runs, and what fills a file is a log like any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.projection import write_log
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.sqlite.verify import verify_file
from progress_ledger.projections.projector import Projector
from tests import tree

pytestmark = pytest.mark.anyio


def test_it_prints_one_object_with_rows_and_two_bars_for_each_larger_size() -> None:
    command = [sys.executable, "-m", "benchmarks.growth", "--json", "--repeat", "1", "--events", "64"]
    command += ["--sizes", "10000", "20000"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=55, check=True)
    report = json.loads(done.stdout)
    assert [bar["bar"] for bar in report["bars"]] == [1.5, 1.5]
    assert all(row["value"] > 0 for row in report["rows"])


async def test_a_multiplied_log_is_whole_and_folds_as_its_pattern_does(tmp_path: Path) -> None:
    path = tmp_path / "progress.db"
    await write_log(path, events=900, runs=3)
    growth.multiply(path, 3)
    assert verify_file(path).ok
    async with Ledger.open(path) as ledger, Projector.open(ledger) as projector:
        assert projector.position == 2_700
        for run_id in ("run-0", "copy-1-run-0", "copy-2-run-0"):
            snapshot = await projector.snapshot(run_id)
            assert snapshot is not None
            assert (snapshot.status, snapshot.version) == ("completed", 300)
            events = await ledger.log.read_run(run_id, after=290, limit=20)
            assert [event.position % 900 for event in events] == [
                event.position % 900 for event in await ledger.log.read_run("run-0", after=290, limit=20)
            ]
