"""A short torture: every kind of fault once or twice, with few producers and readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from .session import torture

# Two threads and their sockets end with this process, not with the test.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.parametrize(
    "faults",
    [
        ("kill_server", "cut_connections", "kill_all", "stall_readers"),
        ("stop_server", "half_open", "no_room", "reconnect_storm", "wal_gone"),
        ("kill_starting", "failing", "step_clock", "two_servers", "long_reader", "wal_gone"),
    ],
)
async def test_every_promise_holds_under_faults_at_random(tmp_path: Path, faults: tuple[str, ...]) -> None:
    report = await torture(
        seconds=10, seed=len(faults), only=faults, small=True, each=True, folder=tmp_path, answer_within=30
    )
    assert report.broken is None, report.text()
    assert set(report.faults) == set(faults)
    assert report.numbers["events in the log, checked"] > report.numbers["probes"]
    assert report.numbers["frames held against the log"] > 0
