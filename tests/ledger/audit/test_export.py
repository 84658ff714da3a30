"""An export proves itself against a checkpoint: a fresh one, or one signed after the run's end."""

import io
from pathlib import Path

import pytest

from progress_ledger.ledger.audit.export import export_events, export_proven, manifest_path, write_whole
from progress_ledger.ledger.audit.note import new_signer
from progress_ledger.ledger.audit.verdict import verify_bundle
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.export import Selection
from tests.ledger.histories import fill, ledger_at

pytestmark = pytest.mark.anyio


async def _export(log: object, path: Path, selection: Selection, **options: object) -> None:
    assert isinstance(log, SQLiteLog)
    with write_whole(path, packed=path.suffix == ".gz") as out:
        manifest = await export_proven(log, selection, out, now=5.0, **options)  # type: ignore[arg-type]  # passed on
    manifest_path(path).write_bytes(manifest.encode())


async def test_a_finished_run_is_proven_against_the_newest_signed_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    async with ledger_at(tmp_path / "a.db") as (ledger, tree):
        signer = new_signer(tree.origin)
        await fill(ledger)
        signed = await tree.checkpoint(signer, now=1.0)
        await fill(ledger, prefix="later")
        for name in ("run-0.ndjson", "run-0.ndjson.gz"):
            await _export(ledger.log, tmp_path / name, Selection(run="run-0"))
            report = verify_bundle(tmp_path / name, key=signer.public)
            assert report.ok, report.findings
            assert (report.size, report.whole, report.signed) == (signed.size, 1, True)
        await _export(ledger.log, tmp_path / "later.ndjson", Selection(run="later-0"))
        unsigned = verify_bundle(tmp_path / "later.ndjson", notes=[signed.note])
        assert unsigned.ok, unsigned.findings
        assert unsigned.size > signed.size
        assert not verify_bundle(tmp_path / "later.ndjson", key=signer.public).ok


async def test_everything_is_exported_by_a_log_that_is_only_read(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, tree):
        await fill(ledger)
        await tree.catch_up()
    async with SQLiteLog.open(tmp_path / "a.db", now=0.0, read_only=True) as log:
        await _export(log, tmp_path / "all.ndjson", Selection())
        assert verify_bundle(tmp_path / "all.ndjson").ok
        out = io.BytesIO()
        assert await export_events(log, Selection(), out, "csv") == await log.head()
        assert out.getvalue().startswith(b"position,")


def test_a_file_that_was_not_written_to_its_end_does_not_appear(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def fail() -> None:
        with write_whole(path) as out:
            out.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
