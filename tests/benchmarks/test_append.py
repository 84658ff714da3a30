"""The benchmark of appends runs, writes what it compares, and says it in one object."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import append
from tests import tree

pytestmark = pytest.mark.anyio


def test_it_prints_one_object_with_rows_and_its_bars() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.append",
            "--json",
            "--repeat",
            "1",
            "--events",
            "640",
            "--tasks",
            "16",
        ],
        cwd=tree.ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    report = json.loads(done.stdout)
    assert [bar["bar"] for bar in report["bars"]] == [0.4, 0.5, 10]
    assert all(row["value"] > 0 for row in report["rows"])
    assert report["machine"]["pragmas"]["journal_mode"] == "wal"


async def test_both_sides_write_the_same_bytes(tmp_path: Path) -> None:
    ours, raw = tmp_path / "ours.db", tmp_path / "raw.db"
    seconds, waits = await append.through_the_ledger(ours, tasks=4, events=30)
    assert seconds > 0
    assert len(waits) == 30
    written = append.rows_of(ours)
    assert len(written) == 34
    rows = append.ticks_of(written)
    assert len(rows) == 30
    append.through_sqlite(raw, rows, batch=4)
    assert append.rows_of(raw) == rows


async def test_what_is_made_by_hand_writes_each_row_once_too(tmp_path: Path) -> None:
    ours, raw = tmp_path / "ours.db", tmp_path / "raw.db"
    await append.through_the_ledger(ours, tasks=4, events=30)
    rows = append.ticks_of(append.rows_of(ours))
    assert await append.by_hand(raw, rows, tasks=4) > 0
    assert append.rows_of(raw) == rows


async def test_a_frame_is_made_of_each_tick_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = tmp_path / "ours.db"
    await append.through_the_ledger(ours, tasks=4, events=30)
    made: list[int] = []
    monkeypatch.setattr(
        append.Frames, "folded", lambda self, recorded, state: made.append(recorded.event.position)
    )
    assert append.the_frame_alone(append.rows_of(ours)) > 0
    assert made == list(range(5, 35))
