"""The producer without a loop: threads, processes, outages."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from progress_ledger.ledger import (
    InvalidEvent,
    Ledger,
    OpenRun,
    RunEnded,
    RunExists,
    RunNotFound,
    SlotTaken,
    TooLarge,
    Unavailable,
    open_run,
)
from progress_ledger.ledger.producers.background import stop_all
from tests.ledger.producing import PRELUDE, advanced, run_process, tick_from_threads


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "p.db"
    stop_all()


def events(path: Path, run_id: str) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        from tests.ledger.producing import events_of

        async with Ledger.open(path, read_only=True) as ledger:
            return await events_of(ledger, run_id)

    return anyio.run(read)


def types(path: Path, run_id: str) -> list[str]:
    return [event["type"] for event in events(path, run_id)]


@pytest.mark.acceptance("D14")
def test_it_says_all_that_the_asynchronous_one_says(path: Path) -> None:
    with open_run("k", ledger=path, run_id="r", queued=True, stages=["a"]) as run:
        run.start()
        receipt = run.tick(2, counts={"x": 1})
        assert receipt is not None
        assert receipt.version == 3
        with run.stage("a", total=4):
            run.advance(1)
        run.set(3, 4)
        run.total(5)
        run.note("n", level="info")
        run.rewind(1)
        run.pause()
        run.resume()
        run.heartbeat()
        with run.child("part") as child:
            child.tick()
    assert types(path, "r") == [
        "queued", "started", "ticked", "stage_changed", "ticked", "ticked", "total_changed", "noted",
        "rewound", "paused", "resumed", "heartbeat", "completed",
    ]  # fmt: skip
    assert types(path, child.run_id) == ["started", "ticked", "completed"]


def test_an_exception_fails_the_run_and_goes_on(path: Path) -> None:
    with pytest.raises(ValueError, match="why"), open_run("k", ledger=path, run_id="r"):
        raise ValueError("why")
    assert events(path, "r")[-1]["data"] == {"error": "ValueError: why"}


@pytest.mark.acceptance("B1", "B2", "B3")
def test_callbacks_of_both_kinds_fit(path: Path) -> None:
    with open_run("upload", ledger=path, run_id="r", total=12, unit="bytes") as run:
        for part in (4, 8, 8, 12):  # the second part is sent twice and counts once
            callback = run.set
            callback(part, 12)
            run.flush()
    assert [event["data"]["done"] for event in events(path, "r") if event["type"] == "ticked"] == [
        4,
        8,
        8,
        12,
    ]


def test_entry_raises_what_is_wrong(path: Path) -> None:
    with open_run("k", ledger=path, slot="s", run_id="r"):
        with pytest.raises(SlotTaken) as taken:
            open_run("k", ledger=path, slot="s")
        assert taken.value.run.run_id == "r"
        with pytest.raises(RunExists):
            open_run("other", ledger=path, run_id="r")
        with pytest.raises(RunNotFound):
            open_run("k", ledger=path, run_id="nobody", attach=True)
    with pytest.raises(RunEnded):
        open_run("k", ledger=path, run_id="r", attach=True)


@pytest.mark.acceptance("B5")
def test_disabled_it_does_nothing_at_all(path: Path) -> None:
    with open_run("k", ledger=path, disabled=True) as run:
        run.advance(-5)
        run.set("x")  # type: ignore[arg-type]  # whatever it is
        assert run.tick() is None
        with run.stage("a"):
            run.child("part").note("x")
        assert not run.cancel_requested
        assert run.statistics.appended == 0
    assert not path.exists()
    assert pickle.loads(pickle.dumps(run)).run_id == run.run_id


def test_many_runs_at_once_from_many_threads(path: Path) -> None:
    def job(number: int) -> None:
        with open_run("k", ledger=path, run_id=f"r{number}") as run:
            for _ in range(1_000):
                run.advance()

    threads = [threading.Thread(target=job, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(12):
        assert advanced(events(path, f"r{number}")) == 1_000
        assert types(path, f"r{number}")[-1] == "completed"


def _tick(run: OpenRun, times: int) -> None:
    tick_from_threads(run.advance, times=times)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_two_processes_with_four_threads_each_tick_one_run_exactly(path: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    with open_run("k", ledger=path, run_id="r") as run:
        run.advance(1)  # pending when it is forked, and not said twice
        begin = getattr(context, "Process")  # noqa: B009 - the base class of contexts has none
        children = [begin(target=_tick, args=(run, 25_000)) for _ in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join(40)
            assert child.exitcode == 0
    assert advanced(events(path, "r")) == 200_001
    assert types(path, "r")[-1] == "completed"


def test_a_bare_fork_counts_on_and_ends_nothing(path: Path) -> None:
    with open_run("k", ledger=path, run_id="r") as run:
        run.tick()
        child = os.fork()
        if child == 0:
            try:
                run.advance(5)
                run.flush()
                run.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        run.tick()
    assert advanced(events(path, "r")) == 7
    assert types(path, "r").count("completed") == 1


def test_a_program_that_ends_with_an_open_run_interrupts_it(path: Path) -> None:
    run_process(path, "run = open_run('k', ledger=path, run_id='r'); run.advance(3)")
    assert types(path, "r") == ["started", "ticked", "interrupted"]


def test_a_file_that_cannot_be_opened_costs_the_job_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "later" / "p.db"
    with open_run("k", ledger=path, run_id="r", total=3) as run:
        for _ in range(3):
            run.advance()
            assert run.tick(0) is None
        assert run.statistics.waiting > 0
        said = [record for record in caplog.records if "cannot be written" in record.getMessage()]
        assert len(said) == 1
        path.parent.mkdir()  # the ledger is back
    stop_all()
    found = events(path, "r")
    assert advanced(found) == 3
    assert found[-1]["type"] == "completed"
    ids = [event["event_id"] for event in found if "event_id" in event]
    assert len(ids) == len(set(ids)) == len(found) - 1
    assert all("occurred_at" in event["data"] for event in found[1:])


@pytest.mark.acceptance("E9", "C13", "A32")
def test_a_lost_end_is_reported_at_exit_and_the_job_is_not_hurt(tmp_path: Path) -> None:
    code = """
run = open_run("k", ledger=path + "/none/p.db", run_id="r", patience=0.2)
run.advance(3)
run.close()
print("the job is done")
"""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "the job is done\n")
    assert "run r: its end (completed) could not be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_strict_a_file_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_run("k", ledger=tmp_path / "none" / "p.db", strict=True)


@pytest.mark.acceptance("C11")
def test_a_locked_file_is_waited_for_and_nothing_is_lost(path: Path) -> None:
    with open_run("k", ledger=path, run_id="r") as run:
        run.tick()
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        for _ in range(100):
            run.advance()  # never waits
        blocker.execute("ROLLBACK")
        blocker.close()
        run.tick()
    assert advanced(events(path, "r")) == 102


def test_an_end_that_cannot_be_stored_is_none_and_the_run_still_ends(path: Path) -> None:
    with pytest.raises(InvalidEvent), open_run("k", run_id="r", ledger=path) as run:
        run.complete(result=object())
    assert events(path, "r")[-1]["type"] == "failed"
    with open_run("k", run_id="s", ledger=path) as run:
        with pytest.raises(TooLarge):
            run.complete(result="x" * 100_000)
        run.advance(1)
    assert [event["type"] for event in events(path, "s")] == ["started", "ticked", "completed"]
