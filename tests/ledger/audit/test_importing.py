"""Runs come into another ledger without a changed byte, or not at all."""

from pathlib import Path

import pytest

from progress_ledger.ledger.audit.bundle import BundleDamaged
from progress_ledger.ledger.audit.importing import import_bundle
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.export import Selection
from progress_ledger.ledger.sqlite.verify import verify_file
from tests.ledger.audit.test_verdict import bundle
from tests.ledger.histories import fill, ledger_at

pytestmark = pytest.mark.anyio


async def test_whole_runs_come_in_byte_for_byte_and_only_once(tmp_path: Path) -> None:
    path = await bundle(tmp_path, Selection())
    target = tmp_path / "other.db"
    async with ledger_at(target) as (ledger, tree), ledger_at(tmp_path / "a.db") as (source, _):
        await fill(ledger, prefix="mine")
        assert isinstance(ledger.log, SQLiteLog)
        report = await import_bundle(ledger.log, path)
        assert (report.runs, report.known, list(report.refused)) == (2, 0, ["run-2"])
        again = await import_bundle(ledger.log, path)
        assert (again.runs, again.known) == (0, 2)
        for run_id in ("run-0", "run-1"):
            ours = await ledger.log.read_run(run_id, limit=100)
            theirs = await source.log.read_run(run_id, limit=100)
            assert [body for _, body in ours] == [body for _, body in theirs]
        head = await ledger.log.run("run-1")
        assert head is not None
        assert (head.status, head.labels) == ("failed", {"n": "1"})
        await fill(ledger, prefix="after")
        await tree.catch_up()
    verdict = verify_file(target)
    assert verdict.ok, verdict.findings


async def test_an_id_that_is_taken_is_refused_by_itself(tmp_path: Path) -> None:
    path = await bundle(tmp_path, Selection())
    async with ledger_at(tmp_path / "other.db") as (ledger, _):
        await fill(ledger, runs=1)
        assert isinstance(ledger.log, SQLiteLog)
        report = await import_bundle(ledger.log, path)
        assert (report.runs, sorted(report.refused)) == (1, ["run-0", "run-2"])


async def test_what_does_not_verify_is_not_imported(tmp_path: Path) -> None:
    path = await bundle(tmp_path, Selection(run="run-0"))
    path.write_bytes(path.read_bytes().replace(b'"done":3', b'"done":2'))
    async with ledger_at(tmp_path / "other.db") as (ledger, _):
        assert isinstance(ledger.log, SQLiteLog)
        with pytest.raises(BundleDamaged, match="nothing was imported"):
            await import_bundle(ledger.log, path)
        assert await ledger.log.head() == 0
