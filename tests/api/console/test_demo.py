"""The demonstration is followed over a real socket, cut off once, and misses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from progress_ledger.api.app import create_app
from progress_ledger.api.console.client import SocketTransport
from progress_ledger.api.console.demo import Demonstration, Report, Screen, follow_and_cut
from progress_ledger.api.console.tally import Tally
from progress_ledger.api.drain import Drain
from progress_ledger.api.server import bind, serve_app, url_of
from progress_ledger.ledger import Completed, Ledger, RunSpec, Ticked
from progress_ledger.projections import Projector
from tests.api.asking import BOUND

pytestmark = pytest.mark.anyio


def _silent() -> Screen:
    return Screen(lambda run: None, lambda text: None)


async def test_the_job_is_logged_streamed_cut_off_and_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number:03}").write_bytes(b"x" * 200_000)
    drawn: list[dict[str, Any]] = []
    said: list[str] = []
    reports: list[Report] = []
    db = tmp_path / "p.db"
    demonstration = Demonstration(db, [folder], Screen(drawn.append, said.append), host="127.0.0.1", port=0)
    with anyio.fail_after(BOUND):
        report = await demonstration.run(reports.append, stay=False)
    assert reports == [report]
    assert report is not None
    assert report.good
    assert (report.gaps, report.repeats, report.cuts, report.resumed) == (0, 0, 1, 1)
    assert len(said) == 1
    assert "dropped its connection" in said[0]
    run = report.run
    assert (run["kind"], run["unit"], run["status"], run["percent"]) == ("hash", "bytes", "completed", 100.0)
    assert [stage["name"] for stage in run["stages"]] == ["scan", "hash"]
    assert run["counts"]["files"] == 300
    assert (run["result"]["files"], run["result"]["size"]) == (300, 60_000_000)
    percents = [run["percent"] for run in drawn if run["percent"] is not None]
    assert percents == sorted(percents)
    async with Ledger.open(db) as ledger:
        assert await ledger.log.head() == report.appended


async def test_a_client_that_is_cut_off_at_the_last_frame_gets_it_again(tmp_path: Path) -> None:
    async with (
        Ledger.open(tmp_path / "p.db") as ledger,
        Projector.open(ledger) as projector,
        anyio.create_task_group() as tasks,
    ):
        drain = Drain()
        app = create_app(ledger, projector, drain=drain)
        listener = bind("127.0.0.1", 0)
        up = anyio.Event()

        async def serve() -> None:
            await serve_app(app, listener, drain=drain, listening=up.set)

        tasks.start_soon(serve)
        await up.wait()
        await ledger.create(RunSpec(kind="k"), run_id="r")
        tally = Tally()
        learned: list[dict[str, Any]] = []
        known = anyio.Event()

        def learn(run: dict[str, Any]) -> None:
            learned.append(run)
            known.set()

        cuts = 0

        async def follow() -> None:
            nonlocal cuts
            transport = SocketTransport(url_of(listener))
            cuts = await follow_and_cut(transport, "/v1/runs/r/stream", tally, _silent(), learn)

        with anyio.fail_after(BOUND):
            async with anyio.create_task_group() as following:
                following.start_soon(follow)
                await known.wait()
                # No total, so no percent: the terminal frame is the first one in its middle.
                await ledger.append("r", [Ticked(advance=1), Ticked(advance=1), Completed()])
        drain.begin()
    assert cuts == 1
    assert (tally.gaps, tally.repeats, tally.version, tally.resumed) == (0, 0, 4, 1)
    assert learned[-1]["status"] == "completed"
