"""The benchmark of rebuilds beside eventsourcing runs, and the peers fold the same events to the same end."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import projection_peers
from benchmarks.projection import write_log
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from progress_ledger.projections.state import RunState
from tests import tree

pytestmark = pytest.mark.anyio

RUNS = 3
EVENTS = 300


def test_it_prints_one_object_with_rows_and_both_bars() -> None:
    command = [sys.executable, "-m", "benchmarks.projection_peers", "--json", "--repeat", "1"]
    command += ["--events", "2000", "--runs", "10", "--peer-events", "400", "--durable", "20"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=50, check=True)
    report = json.loads(done.stdout)
    assert [bar["bar"] for bar in report["bars"]] == [6, 150]
    assert all(row["value"] > 0 for row in report["rows"])


async def test_the_same_fold_comes_to_the_same_states(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "log.db", tmp_path / "jobs.db"
    await write_log(ours, events=EVENTS, runs=RUNS)
    projection_peers.write_jobs(theirs, events=EVENTS, runs=RUNS)
    count, states = projection_peers.fold(theirs)
    assert count == EVENTS
    async with Ledger.open(ours) as ledger, Projector.open(ledger) as projector:
        mine = (await projector.states([f"run-{number}" for number in range(RUNS)])).values()
    assert sorted(map(_said, states.values())) == sorted(map(_said, mine))


def test_the_durable_projection_says_how_far_it_is_and_holds_a_row_for_each_job(tmp_path: Path) -> None:
    jobs, view = tmp_path / "jobs.db", tmp_path / "view.db"
    projection_peers.write_jobs(jobs, events=EVENTS, runs=RUNS)
    assert projection_peers.project(jobs, view, EVENTS) == EVENTS
    with closing(sqlite3.connect(view)) as connection:
        rows = connection.execute("SELECT status, version, done, message FROM job").fetchall()
    _, states = projection_peers.fold(jobs)
    assert len(rows) == RUNS
    assert sorted(rows) == sorted((s.status, s.version, s.done, s.message) for s in states.values())


def _said(state: RunState) -> tuple[str, str, int, int, str]:
    return state.title or "", state.status, state.version, state.done, str(sorted(state.counts.items()))
