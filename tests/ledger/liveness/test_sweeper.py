"""Runs whose producers are gone are interrupted: once, and by whoever is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.ledger import Heartbeat, Ledger, RunSpec
from progress_ledger.ledger.liveness.lease import Moment
from progress_ledger.ledger.liveness.sweeper import Sweeper, interrupt_dead, read_clocks
from tests.ledger.producing import ended, events_of, head_of, process, types_of, until

pytestmark = pytest.mark.anyio


class Clocks:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> Moment:
        return Moment(self.at, self.at, self.at)


async def test_a_lease_that_runs_out_is_one_interrupted_event_however_many_look() -> None:
    clocks = Clocks()
    async with Ledger.open(":memory:", sweep=False) as ledger:
        await ledger.create(RunSpec(kind="k", lease_seconds=3, owner="w"), run_id="r")
        await ledger.create(RunSpec(kind="k"), run_id="no-lease")
        sweepers = [Sweeper(ledger, clocks=clocks) for _ in range(3)]
        found: list[str] = []
        for _ in range(5):
            for sweeper in sweepers:
                found += await sweeper.sweep()
            clocks.at += 1.0
        assert found == ["r"]
        assert await types_of(ledger, "r") == ["started", "interrupted"]
        assert (await events_of(ledger, "r"))[-1]["data"] == {"reason": "no sign of w for 3 s"}
        assert (await head_of(ledger, "no-lease")).active


async def test_a_sign_of_life_keeps_a_run() -> None:
    clocks = Clocks()
    async with Ledger.open(":memory:", sweep=False) as ledger:
        await ledger.create(RunSpec(kind="k", lease_seconds=3), run_id="r")
        sweeper = Sweeper(ledger, clocks=clocks)
        for _ in range(10):
            await sweeper.sweep()
            clocks.at += 1.0
            await ledger.append("r", [Heartbeat()])
        assert (await head_of(ledger, "r")).active


@pytest.mark.acceptance("A24", "A25", "B15", "C28")
async def test_a_killed_producers_run_is_interrupted_at_the_next_start_and_a_living_ones_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.db"
    code = """
run = open_run("k", ledger=path, run_id=sys.stdin.readline().strip())
run.advance(5, counts={"passed": 4, "failed": 1}); run.flush(); print("up", flush=True)
sys.stdin.readline()
run.complete(); run.close()
"""
    with process(path, code) as (dies, dies_says), process(path, code) as (lives, lives_says):
        for child, says, name in ((dies, dies_says, "dies"), (lives, lives_says, "lives")):
            assert child.stdin is not None
            child.stdin.write(f"{name}\n")
            child.stdin.flush()
            assert says.readline() == "up\n"
        dies.kill()
        dies.wait()
        async with Ledger.open(path) as ledger:
            events = await events_of(ledger, "dies")
            assert [event["type"] for event in events] == ["started", "ticked", "interrupted"]
            assert events[1]["data"]["counts"] == {"passed": 4, "failed": 1}
            assert (await head_of(ledger, "lives")).status == "running"
            assert lives.stdin is not None
            lives.stdin.write("\n")
            lives.stdin.flush()
            assert (await ended(ledger, "lives")).status == "completed"


async def test_an_expired_lease_is_seen_by_an_open_ledger_without_being_asked(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path / "p.db") as ledger:
        await ledger.create(RunSpec(kind="k", lease_seconds=0.2, owner="far"), run_id="r")
        assert (await ended(ledger, "r")).status == "interrupted"


async def test_a_producer_gives_signs_of_life_without_the_jobs_help() -> None:
    async with Ledger.open(":memory:") as ledger, ledger.run("k", lease_seconds=0.6) as run:
        await until(lambda: run.statistics.appended >= 5)
        assert (await types_of(ledger, run.run_id)).count("heartbeat") >= 4
        assert (await head_of(ledger, run.run_id)).status == "running"


async def test_a_start_on_a_log_that_cannot_be_read_goes_on() -> None:
    async with Ledger.open(":memory:", sweep=False) as ledger:
        pass
    assert await interrupt_dead(ledger, "x") == []
    assert read_clocks().wall > 0
