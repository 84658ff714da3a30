"""A session of tests is a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.ledger.producers.test_open_run import events

PLUGIN = "progress_ledger.ledger.adapters.pytest_plugin"


def session(folder: Path, body: str) -> list[dict[str, object]]:
    (folder / "test_it.py").write_text(body)
    database = folder / "p.db"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, f"--progress-ledger={database}", str(folder)],
        cwd=folder,
        capture_output=True,
        timeout=50,
        check=False,
    )
    import sqlite3

    connection = sqlite3.connect(database)
    (run_id,) = connection.execute("SELECT run_id FROM run").fetchone()
    connection.close()
    return events(database, run_id)


def test_a_session_that_fails_says_how_many_did(tmp_path: Path) -> None:
    found = session(tmp_path, "def test_a(): pass\ndef test_b(): assert 0\n")
    assert found[0]["data"]["total"] == 2  # type: ignore[index]  # it is a mapping
    assert (found[-1]["type"], found[-1]["data"]) == ("failed", {"error": "1 failed (exit status 1)"})


def test_a_session_that_passes_is_completed_with_its_counts(tmp_path: Path) -> None:
    found = session(tmp_path, "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('no')\n")
    counts: dict[str, int] = {}
    done = 0
    for event in found:
        done += event["data"].get("advance", 0)  # type: ignore[attr-defined]
        for name, value in event["data"].get("counts", {}).items():  # type: ignore[attr-defined]
            counts[name] = counts.get(name, 0) + value
    assert (found[-1]["type"], done, counts) == ("completed", 2, {"passed": 1, "skipped": 1})
