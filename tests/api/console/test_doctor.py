"""Each thing the doctor looks for is found, and a healthy ledger has none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.api.console.doctor import FileFacts, of_clock, of_file, of_run
from progress_ledger.ledger.events import CancelRequested, Completed, RunSpec, Stage, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.times import format_time, parse_time
from progress_ledger.projections.projector import Projector

pytestmark = pytest.mark.anyio

HEALTHY = FileFacts((3, 51, 3), "wal", 2**40, 0, False)


def test_a_healthy_file_has_only_good_news() -> None:
    assert {finding.level for finding in of_file(HEALTHY)} == {"ok"}


@pytest.mark.parametrize(
    ("facts", "code", "level"),
    [
        (HEALTHY._replace(journal_mode="delete"), "journal_mode", "problem"),
        (HEALTHY._replace(free_bytes=10), "disk_low", "problem"),
        (HEALTHY._replace(wal_bytes=2**31), "long_wal", "warning"),
        (HEALTHY._replace(tokens_readable_by_others=True), "tokens_readable", "warning"),
        (HEALTHY._replace(sqlite=(3, 40, 1)), "old_sqlite", "ok"),
    ],
)
def test_what_is_wrong_with_the_file_is_named(facts: FileFacts, code: str, level: str) -> None:
    assert (level, code) in {(finding.level, finding.code) for finding in of_file(facts)}


def test_a_clock_that_steps_back_is_found_and_one_that_jitters_is_not() -> None:
    start = parse_time("2026-11-21T10:00:00.000000Z")
    jitter = [(at, format_time(start + at - (0.2 if at % 2 else 0))) for at in range(10)]
    assert of_clock(jitter) == []
    (finding,) = of_clock([*jitter, (10, format_time(start - 60)), (11, format_time(start))])
    assert finding.code == "clock_steps"
    assert "position 10" in finding.detail


async def test_runs_are_looked_at_one_by_one(tmp_path: Path) -> None:
    async with (
        Ledger.open(tmp_path / "progress.db", durability="process") as ledger,
        Projector.open(ledger) as projector,
    ):
        await ledger.create(RunSpec(kind="k", stages=[Stage(name="a"), Stage(name="b")]), run_id="mute")
        await ledger.append("mute", [Completed()])
        await ledger.create(RunSpec(kind="k"), run_id="loud")
        await ledger.append("loud", [Ticked(done=number) for number in range(1_500)])
        await ledger.create(RunSpec(kind="k", lease_seconds=10), run_id="gone")
        await ledger.append("gone", [Ticked(done=1), CancelRequested()])
        await ledger.create(RunSpec(kind="k", total=1), run_id="fine")
        await ledger.append("fine", [Ticked(done=1), Completed()])
        later = format_time(ledger.clock() + 400)
        codes: dict[str, set[str]] = {}
        for run_id, state in (await projector.states(["mute", "loud", "gone", "fine"])).items():
            head = await ledger.log.run(run_id)
            assert head is not None
            codes[run_id] = {finding.code for finding in of_run(state, head, now=later)}
    assert codes == {
        "mute": {"no_ticks", "stage_never_entered"},
        "loud": {"too_many_events"},
        "gone": {"stale_lease", "cancel_unanswered"},
        "fine": set(),
    }
