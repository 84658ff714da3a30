"""The load runs in small, and its readers see what is missing, repeated or told again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.streams.checked import Readers
from tests import tree


def test_a_small_load_delivers_every_event_to_every_stream() -> None:
    sizes = ["--streams", "20", "--producers", "4", "--seconds", "2", "--rate", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "--json", *sizes],
        cwd=tree.ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    report = json.loads(done.stdout)
    rows = {row["name"]: row["value"] for row in report["rows"]}
    assert [bar["ratio"] for bar in report["bars"][:3]] == [0, 0, 0]
    assert rows["streams"] == 20
    assert rows["events delivered"] > rows["events acknowledged"] > 4


@pytest.mark.parametrize(
    ("number", "before", "fault"),
    [(5, 4, {}), (7, 4, {"events lost": 2}), (4, 4, {"events repeated": 1})],
)
def test_a_reader_sees_a_gap_and_a_repeat(number: int, before: int, fault: dict[str, int]) -> None:
    readers = Readers(0, (), 0)
    readers._follows(number, before)
    assert readers.faults == fault
