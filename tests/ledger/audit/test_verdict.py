"""The verdict on a bundle: what it shows, against what it was held, and where it is wrong."""

from pathlib import Path

import pytest

from progress_ledger.ledger.audit.bundle import BundleDamaged
from progress_ledger.ledger.audit.export import export_proven, manifest_path, write_whole
from progress_ledger.ledger.audit.note import Checkpoint
from progress_ledger.ledger.audit.verdict import open_bundle, verify_bundle
from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.export import Selection
from tests.ledger.histories import fill, ledger_at

pytestmark = pytest.mark.anyio


async def bundle(folder: Path, selection: Selection, name: str = "b.ndjson") -> Path:
    path = folder / name
    async with ledger_at(folder / "a.db") as (ledger, _):
        await fill(ledger, open_runs=1)
        assert isinstance(ledger.log, SQLiteLog)
        with write_whole(path, packed=name.endswith(".gz")) as out:
            manifest = await export_proven(ledger.log, selection, out, now=1.0)
    manifest_path(path).write_bytes(manifest.encode())
    return path


async def test_whole_runs_are_counted_and_parts_of_runs_are_no_findings(tmp_path: Path) -> None:
    everything = verify_bundle(await bundle(tmp_path, Selection()))
    assert everything.ok, everything.findings
    assert (everything.runs, everything.whole, everything.events) == (3, 2, 20)
    (tmp_path / "part").mkdir()
    part = verify_bundle(await bundle(tmp_path / "part", Selection(after=9)))
    assert part.ok, part.findings
    assert (part.runs, part.whole) == (3, 0)


async def test_a_checkpoint_that_cannot_be_compared_is_said_to_be_so(tmp_path: Path) -> None:
    path = await bundle(tmp_path, Selection(run="run-0"))
    report = verify_bundle(path, kept=[Checkpoint("x", 11, bytes(32))])
    assert [finding.kind for finding in report.findings] == ["not_comparable"]
    later = verify_bundle(path, kept=[Checkpoint("x", 99, bytes(32))])
    assert [finding.kind for finding in later.findings] == ["rolled_back"]


async def test_damage_is_named_with_its_bytes(tmp_path: Path) -> None:
    path = await bundle(tmp_path, Selection(run="run-0"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"done":3', b'"done":2'))
    report = verify_bundle(path)
    assert not report.ok
    first = report.findings[0]
    assert first.run_id == "run-0"
    assert b'"done":2' in path.read_bytes()[first.start : first.end]


async def test_a_packed_file_that_was_cut_is_damaged(tmp_path: Path) -> None:
    path = await bundle(tmp_path, Selection(), "b.ndjson.gz")
    assert verify_bundle(path).ok
    path.write_bytes(path.read_bytes()[:-20])
    assert not verify_bundle(path).ok


async def test_both_files_must_be_there(tmp_path: Path) -> None:
    path = await bundle(tmp_path, Selection())
    manifest_path(path).unlink()
    with pytest.raises(Unavailable, match="manifest"):
        verify_bundle(path)
    manifest_path(path).write_bytes(b"{}")
    with pytest.raises(BundleDamaged), open_bundle(path):
        pass
