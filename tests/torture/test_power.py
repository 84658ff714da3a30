"""The power goes at every moment of a recorded run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from progress_ledger.ledger import Completed, Ledger, RunSpec, Ticked
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite import engine as sqlite
from progress_ledger.projections.projector import Projector

from .power import Recorder, cut_power, restart

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


async def record(db: Path, dice: random.Random) -> Recorder:
    """A run of many commits and some checkpoints."""
    recorder = Recorder(db)
    async with Ledger.open(db) as ledger, Projector.open(ledger):
        acknowledged = 0
        for number in range(60):
            run_id = f"r{number // 12}"
            if number % 12 == 0:
                receipt = (await ledger.create(RunSpec(kind="k"), run_id=run_id)).receipt
            else:
                last = [Completed()] if number % 12 == 11 else []
                ticks = [
                    Ticked(advance=1, message="x" * dice.randrange(900)) for _ in range(dice.choice((1, 9)))
                ]
                receipt = (await ledger.append(run_id, [*ticks, *last])).receipts[-1]
            acknowledged = receipt.position
            recorder.take(acknowledged)
    return recorder


async def test_no_acknowledged_event_is_missing_wherever_the_power_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 60)
    dice = random.Random(7)
    recorder = await record(tmp_path / "recorded.db", dice)
    moments = recorder.moments
    assert len({moment.db for moment in moments}) > 3  # checkpoints are among what is interrupted
    most = moments[-1].acknowledged

    def look(head: int, acknowledged: int) -> None:
        assert acknowledged <= head <= most

    assert cut_power(moments, tmp_path, dice, tries=6, look=look) > 500


async def test_a_log_cut_at_any_length_is_a_whole_beginning_of_what_it_was(tmp_path: Path) -> None:
    dice = random.Random(8)
    recorder = await record(tmp_path / "recorded.db", dice)
    last = recorder.moments[-1]
    # Before that the file itself is empty: the ledger's tables are in the log as well.
    first = recorder.moments[0]
    heads = [
        restart(tmp_path, last.db, last.wal[: dice.randrange(len(first.wal), len(last.wal) + 1)])
        for _ in range(60)
    ]
    assert all(1 <= head <= last.acknowledged for head in heads)
    assert len(set(heads)) > 10


@pytest.mark.parametrize(("durability", "expected"), [("power", 2), ("process", 1)])
async def test_sqlite_is_told_to_sync_each_commit_when_receipts_are_to_survive_the_power(
    tmp_path: Path, durability: str, expected: int
) -> None:
    async with SQLiteLog.open(tmp_path / "p.db", durability=durability, now=1.0) as log:  # type: ignore[arg-type]  # one of two words
        assert (
            await log.on_writer(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0])
            == expected
        )
        assert (
            await log.on_writer(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()[0])
            == "wal"
        )
