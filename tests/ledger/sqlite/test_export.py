"""What is exported is what was selected, byte for byte, in order, and what is gone is said to be gone."""

import io
from pathlib import Path

import pytest

from progress_ledger.ledger.audit.note import Checkpoint
from progress_ledger.ledger.errors import Pruned, RunNotFound
from progress_ledger.ledger.sqlite.export import Selection, export_bundle, read_selection
from progress_ledger.ledger.sqlite.file import connect_reader
from tests.ledger.histories import ask, ledger_at, make, tamper

pytestmark = pytest.mark.anyio


def _positions(path: Path, selection: Selection, end: int = 10_000) -> list[int]:
    connection = connect_reader(path, busy_timeout=1)
    try:
        return [position for page in read_selection(connection, selection, end=end) for position, _ in page]
    finally:
        connection.close()


async def test_a_selection_is_what_it_says(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", runs=3, ticks=4)
    everything = list(range(1, 19))
    assert _positions(path, Selection()) == everything
    assert _positions(path, Selection(), end=7) == everything[:7]
    assert _positions(path, Selection(after=15)) == [16, 17, 18]
    assert _positions(path, Selection(run="run-1")) == [2, 5, 8, 11, 14, 17]
    assert _positions(path, Selection(runs=("run-0", "run-2"))) == [p for p in everything if p % 3 != 2]
    assert _positions(path, Selection(kind="bulk_qa")) == everything
    assert _positions(path, Selection(kind="other")) == []
    (time,) = [
        row[0]
        for row in ask(
            path, "SELECT substr(body, instr(body, '\"time\"') + 8, 27) FROM event WHERE position = 9"
        )
    ]
    assert _positions(path, Selection(since=str(time))) == everything[8:]
    assert Selection().everything
    assert not Selection(after=1).everything


async def test_a_run_that_is_not_there_or_gone_is_refused(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db")
    tamper(path, "UPDATE run_entry SET pruned = 'old.gz' WHERE run_id = 'run-1'")
    with pytest.raises(RunNotFound):
        _positions(path, Selection(run="nobody"))
    with pytest.raises(Pruned, match=r"old\.gz"):
        _positions(path, Selection(run="run-1"))


async def test_the_manifest_says_which_leaves_they_are(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", runs=3, ticks=4)
    async with ledger_at(path) as (_, tree):
        head = await tree.head()
    text = Checkpoint("here", head.size, head.root).text
    out = io.BytesIO()
    manifest = export_bundle(path, out, Selection(run="run-1"), checkpoint=text, created="")
    assert list(manifest.leaves) == [(at, 1) for at in (1, 4, 7, 10, 13, 16)]
    assert (manifest.events, manifest.size, manifest.selection) == (6, 18, {"run": "run-1"})
    whole = export_bundle(path, io.BytesIO(), Selection(), checkpoint=text, created="")
    assert (list(whole.leaves), list(whole.hashes), whole.selection) == ([(0, 18)], [], {"all": "yes"})
    assert out.getvalue().count(b"\n") == 6
