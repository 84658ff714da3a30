"""The benchmark of appends beside other packages runs, and every peer really keeps what it is given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import eventsourced, jetstream
from tests import tree

pytestmark = pytest.mark.anyio


def test_it_prints_one_object_with_rows_and_a_bar_for_each_peer() -> None:
    command = [sys.executable, "-m", "benchmarks.append_peers", "--json", "--repeat", "1"]
    command += ["--events", "320", "--tasks", "1", "64"]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=50, check=True)
    report = json.loads(done.stdout)
    assert [bar["bar"] for bar in report["bars"]] == [10, 10, 2, 2]
    assert all(row["value"] > 0 for row in report["rows"])
    assert report["machine"]["nats_server"].endswith("every message synced")


def test_eventsourcing_saves_each_event_of_each_thread(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    assert eventsourced.append_seconds(path, threads=3, events=10) > 0
    with eventsourced.opened(path) as jobs:
        assert jobs.recorder.max_notification_id() == 13


async def test_jetstream_counts_what_it_has_acknowledged() -> None:
    assert jetstream.missing() is None
    with jetstream.served() as server:
        bodies = [b'{"done":%d}' % number for number in range(20)]
        # Twice on one server: what the first left behind is gone.
        for _ in range(2):
            assert await jetstream.publish_seconds(server, bodies, tasks=4) > 0
