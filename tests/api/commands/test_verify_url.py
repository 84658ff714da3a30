"""A served log is followed from its entries, also where some were pruned, and held against what one holds."""

from pathlib import Path

import pytest

from progress_ledger.api.app import create_app
from progress_ledger.api.commands.verify_url import verify_url
from progress_ledger.api.console.client import AppTransport
from progress_ledger.ledger.audit.note import Checkpoint, new_signer
from progress_ledger.ledger.audit.prune import Retention, prune
from progress_ledger.projections.projector import Projector
from tests.ledger.histories import BEGAN, fill, ledger_at, tamper, ticking

pytestmark = pytest.mark.anyio


async def test_a_good_log_is_verified_against_key_and_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    async with ledger_at(tmp_path / "a.db") as (ledger, tree), Projector.open(ledger) as projector:
        server = AppTransport(create_app(ledger, projector))
        signer, other = new_signer(tree.origin), new_signer(tree.origin)
        await fill(ledger, runs=3, ticks=100)
        old = await tree.checkpoint(signer, now=1.0)
        await fill(ledger, prefix="more")
        assert (await verify_url(server, notes=[old.note])).ok
        await tree.checkpoint(signer, now=2.0)
        report = await verify_url(server, notes=[old.note], key=signer.public)
        assert report.ok, report.findings
        assert (report.runs, report.trusted, report.signed) == (6, old.size, True)
        forged = await verify_url(server, notes=[], key=other.public)
        assert [one.kind for one in forged.findings] == ["bad_signature"]
        false = Checkpoint(tree.origin, 7, bytes(32)).text
        assert [one.kind for one in (await verify_url(server, notes=[false])).findings] == [
            "history_rewritten"
        ]
        later = Checkpoint(tree.origin, 7000, bytes(32)).text
        assert [one.kind for one in (await verify_url(server, notes=[later])).findings] == ["rolled_back"]


async def test_pruned_entries_are_taken_by_their_hash(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, _):
        await fill(ledger, runs=3, ticks=150, open_runs=1)
    async with ledger_at(tmp_path / "a.db", clock=ticking(BEGAN + 1_000_000)) as (ledger, _):
        await prune(ledger, Retention(older_than=60))
        await fill(ledger, runs=1, ticks=300, prefix="new")
        async with Projector.open(ledger) as projector:
            report = await verify_url(AppTransport(create_app(ledger, projector)), notes=[])
    assert report.ok, report.findings


async def test_changed_entries_do_not_give_the_root(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, tree):
        await fill(ledger)
        await tree.catch_up()
    tamper(
        tmp_path / "a.db",
        "UPDATE event SET body = replace(body, '\"done\":2', '\"done\":3') WHERE position = 8",
    )
    async with ledger_at(tmp_path / "a.db") as (ledger, _), Projector.open(ledger) as projector:
        report = await verify_url(AppTransport(create_app(ledger, projector)), notes=[])
    assert "wrong_root" in [one.kind for one in report.findings]


async def test_what_remains_beside_pruned_entries_is_held_against_its_hash_and_the_rules(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    async with ledger_at(path) as (ledger, _):
        await fill(ledger, runs=3, ticks=50, open_runs=1)
    async with ledger_at(path, clock=ticking(BEGAN + 1_000_000)) as (ledger, _):
        await prune(ledger, Retention(older_than=60))
    # The first run is still open, and its events stand among those of the pruned ones.
    tamper(
        path, "UPDATE event SET body = replace(body, '\"done\":2', '\"done\":-2') WHERE body LIKE '%ticked%'"
    )
    async with ledger_at(path) as (ledger, _), Projector.open(ledger) as projector:
        report = await verify_url(AppTransport(create_app(ledger, projector)), notes=[])
    assert {"invalid_event", "wrong_root"} <= {one.kind for one in report.findings}
