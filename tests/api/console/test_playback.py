"""What is played is the run as it was: the same snapshots, at the same points, by its own clock."""

from pathlib import Path

import pytest

from progress_ledger.api.console.playback import Playback, PlayedEvent, VirtualClock, parse_events
from progress_ledger.ledger.codec import wire_form
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.times import parse_time
from progress_ledger.projections.projector import Projector
from progress_ledger.projections.snapshot import Snapshot
from tests.ledger.histories import fill, ledger_at

pytestmark = pytest.mark.anyio

SHOWN = ("done", "percent", "counts", "message", "status", "version", "updated_at")


async def test_every_state_is_the_one_of_then(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, _), Projector.open(ledger) as projector:
        await fill(ledger, runs=2, ticks=20)
        rows = await ledger.log.read_run("run-0", limit=100)
        then = [await projector.snapshot_at("run-0", version=at) for at in range(1, len(rows) + 1)]
        events = parse_events([wire_form(position, body or b"") for position, body in rows])
    now: list[Snapshot] = []
    waits: list[float] = []
    clock = VirtualClock(parse_time(events[0].time), speed=2.0, real=lambda: 0.0)
    async with Ledger.open(":memory:", clock=clock) as played, Projector.open(played) as projector:

        async def shown(event: PlayedEvent) -> None:
            snapshot = await projector.snapshot(event.run_id)
            assert snapshot is not None
            now.append(snapshot)

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        await Playback(played, clock, events).play(silent=3, shown=shown, sleep=sleep)
    expected = then[3:]
    assert len(now) == len(expected) == len(waits)
    assert max(waits) > 0
    for one, other in zip(now, expected, strict=True):
        assert [getattr(one, name) for name in SHOWN] == [getattr(other, name) for name in SHOWN]


def test_the_clock_runs_faster_and_stops_at_its_limit() -> None:
    real = [100.0]
    clock = VirtualClock(1000.0, speed=10.0, real=lambda: real[0])
    clock.limit = 1050.0
    real[0] = 102.0
    assert (clock(), clock.until(1050.0)) == (1020.0, 3.0)
    real[0] = 200.0
    assert clock() == 1050.0
    clock.move(1060.0)
    assert (clock(), clock.until(1000.0)) == (1060.0, 0.0)
