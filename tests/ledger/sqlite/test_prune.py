"""Payloads go from the last event to the first, in small steps that can be taken up again."""

from pathlib import Path

import pytest

from progress_ledger.ledger.sqlite import prune as sqlite_prune
from progress_ledger.ledger.sqlite.file import connect_writer
from tests.ledger.histories import ask, make

pytestmark = pytest.mark.anyio


async def test_a_run_is_stripped_step_by_step_and_found_again_after_an_interruption(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", runs=3, ticks=10, open_runs=1)
    file = connect_writer(path, durability="process", busy_timeout=1, now=0.0)
    try:
        found = sqlite_prune.candidates(file, before="9", keep_failed=False, limit=10)
        assert [run.run_id for run in found] == ["run-0", "run-1"]
        kept = sqlite_prune.candidates(file, before="9", keep_failed=True, limit=10)
        assert [run.run_id for run in kept] == ["run-0"]
        assert sqlite_prune.candidates(file, before="1", keep_failed=False, limit=10) == []
        run = found[0]
        assert sqlite_prune.mark_pruned(file, run, "there")
        assert not sqlite_prune.mark_pruned(file, run, "there")
        position = sqlite_prune.strip(file, run, run.last, 5)
        assert sqlite_prune.unfinished(file) == [run]
        while position:
            position = sqlite_prune.strip(file, run, position, 5)
        assert sqlite_prune.unfinished(file) == []
        assert sqlite_prune.unrecorded(file) == 1
        sqlite_prune.give_back(file, 10)
    finally:
        file.close()
    rows = ask(path, "SELECT count(*), sum(body IS NULL), sum(previous = 0) FROM event WHERE run = 1")
    assert rows == [(12, 12, 1)]
