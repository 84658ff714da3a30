"""Pruning: archived and verified first, recorded in the log, nothing else disturbed, the disk given back."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from progress_ledger.ledger.audit import prune as pruning
from progress_ledger.ledger.audit.bundle import BundleDamaged
from progress_ledger.ledger.audit.prune import Retention, prune
from progress_ledger.ledger.audit.verdict import verify_bundle
from progress_ledger.ledger.codec import decode
from progress_ledger.ledger.errors import Pruned, RunEnded, RunExists, Unavailable
from progress_ledger.ledger.events import Noted, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.sqlite import prune as sqlite_prune
from progress_ledger.ledger.sqlite.verify import verify_file
from tests.ledger.histories import BEGAN, ask, fill, ledger_at, tamper, ticking

pytestmark = pytest.mark.anyio


async def test_old_runs_go_and_everything_said_about_them_stays_true(tmp_path: Path) -> None:
    path, archive = tmp_path / "a.db", tmp_path / "archive"
    async with ledger_at(path) as (ledger, tree):
        await fill(ledger, runs=4, ticks=100, open_runs=1)
        before = await tree.checkpoint(now=1.0)
        proof = await tree.inclusion(5, size=before.size)
    async with ledger_at(path, clock=ticking(BEGAN + 1_000_000)) as (ledger, tree):
        report = await prune(ledger, Retention(older_than=60, keep_failed=True, archive=archive, by="ops"))
        assert (report.runs, report.events) == (2, 204)
        with pytest.raises(Pruned) as caught:
            await ledger.log.read_run("run-0", limit=5)
        assert caught.value.archive == report.archives[0]
        assert len(await ledger.log.read_run("run-1", limit=500)) == 102
        await ledger.append("run-3", [Ticked(done=100)])
        with pytest.raises((RunEnded, Pruned)):
            await ledger.append("run-0", [Ticked(done=1)])
        with pytest.raises((RunExists, Pruned)):
            await ledger.create(RunSpec(kind="other"), run_id="run-0")
        assert await tree.inclusion(5, size=before.size) == proof
        assert report.run_id is not None
        told = [decode(body or b"", at) for at, body in await ledger.log.read_run(report.run_id, limit=10)]
        assert [event.type for event in told] == ["started", "noted", "ticked", "completed"]
        assert isinstance(told[1].data, Noted)
        assert "SHA-256" in told[1].data.message
        nothing = await prune(ledger, Retention(older_than=60, keep_failed=True, archive=archive))
        assert (nothing.runs, nothing.run_id) == (0, None)
    verdict = verify_file(path, notes=[before.note])
    assert verdict.ok, verdict.findings
    assert verdict.pruned == 204
    kept = verify_bundle(Path(report.archives[0]), notes=[before.note])
    assert kept.ok, kept.findings
    assert kept.whole == 2


async def test_the_disk_goes_back_to_the_system(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with ledger_at(path) as (ledger, _):
        await fill(ledger, runs=4, ticks=400)
    full = path.stat().st_size
    async with ledger_at(path, clock=ticking(BEGAN + 1_000_000)) as (ledger, _):
        report = await prune(ledger, Retention(older_than=60))
    assert report.pages > 0
    assert path.stat().st_size < full / 2
    assert verify_file(path).ok


async def test_an_interrupted_pruning_goes_on_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    async with ledger_at(path) as (ledger, _):
        await fill(ledger, runs=3, ticks=30)
    strip = sqlite_prune.strip
    monkeypatch.setattr(pruning, "_EVENTS", 10)

    def once(file: Any, *, position: int, **rest: Any) -> int:
        if position < 80:
            raise Unavailable("the power went out")
        return strip(file, position=position, **rest)

    async with ledger_at(path, clock=ticking(BEGAN + 1_000_000)) as (ledger, _):
        monkeypatch.setattr(sqlite_prune, "strip", once)
        with pytest.raises(Unavailable):
            await prune(ledger, Retention(older_than=60))
        monkeypatch.setattr(sqlite_prune, "strip", strip)
        report = await prune(ledger, Retention(older_than=60))
        assert (report.resumed, report.runs) == (1, 2)
    assert ask(path, "SELECT count(*) FROM event WHERE body IS NOT NULL AND position <= 96") == [(0,)]


async def test_an_archive_that_does_not_verify_keeps_the_events_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with ledger_at(path) as (ledger, tree):
        await fill(ledger)
        await tree.catch_up()
    tamper(path, "UPDATE event SET body = replace(body, '\"done\":2', '\"done\":9') WHERE position < 12")
    async with ledger_at(path, clock=ticking(BEGAN + 1_000_000)) as (ledger, _):
        with pytest.raises(BundleDamaged, match="nothing of it was removed"):
            await prune(ledger, Retention(older_than=60, archive=tmp_path / "archive"))
    assert ask(path, "SELECT count(*) FROM run WHERE pruned IS NOT NULL") == [(0,)]


async def test_a_dry_run_only_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with ledger_at(path) as (ledger, _):
        await fill(ledger)
    shutil.copy(path, tmp_path / "b.db")
    async with ledger_at(path, clock=ticking(BEGAN + 1_000_000)) as (ledger, _):
        report = await prune(ledger, Retention(older_than=60), dry_run=True)
    assert (report.runs, report.events) == (3, 21)
    assert ask(path, "SELECT count(*) FROM run") == [(3,)]


async def test_a_ledger_in_memory_is_not_pruned() -> None:
    async with Ledger.open(":memory:") as ledger:
        with pytest.raises(Unavailable):
            await prune(ledger, Retention(older_than=1))
