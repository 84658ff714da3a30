"""The ledger as its users hold it: open, append, leave in whatever way, and nothing handed over is lost."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from progress_ledger.ledger.door import parse_event
from progress_ledger.ledger.errors import (
    Closed,
    InvalidEvent,
    InvalidRun,
    LedgerError,
    RunExists,
    RunNotFound,
    SlotTaken,
    TooLarge,
    VersionConflict,
)
from progress_ledger.ledger.events import Completed, Noted, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger, open_log
from progress_ledger.ledger.log import Accepted, Append, Commit
from progress_ledger.ledger.memory import MemoryLog
from progress_ledger.ledger.sqlite import SQLiteLog
from tests import tree

pytestmark = pytest.mark.anyio


async def test_memory_and_files_are_opened_by_their_name(tmp_path: Path) -> None:
    async with open_log(":memory:") as log:
        assert isinstance(log, MemoryLog)
    async with open_log(tmp_path / "log.db") as log:
        assert isinstance(log, SQLiteLog)
    with pytest.raises(Closed):
        await log.head()


@pytest.mark.parametrize("name", [":memory:", "a.db"])
async def test_another_durability_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    durability: Any = "none"
    with pytest.raises(ValueError, match="'power' or 'process', not 'none'"):
        async with Ledger.open(name if name == ":memory:" else tmp_path / name, durability=durability):
            raise AssertionError
    assert not (tmp_path / "a.db").exists()


async def test_a_run_is_created_appended_to_and_read_back(tmp_path: Path) -> None:
    async with Ledger.open(tmp_path / "log.db", owner="me", clock=lambda: 1_795_300_000.0) as ledger:
        created = await ledger.create(RunSpec(kind="k"), run_id="r", queued=True)
        assert (created.run_id, created.receipt.version, created.appended) == ("r", 1, True)
        again = await ledger.create(RunSpec(kind="k"), run_id="r", queued=True)
        assert (again.receipt, again.appended) == (created.receipt, False)
        made = await ledger.create(RunSpec(kind="k"))
        assert made.run_id != (await ledger.create(RunSpec(kind="k"))).run_id
        drafted = parse_event("ticked", b'{"done":2}', "e")
        accepted = await ledger.append(made.run_id, [Ticked(done=1), drafted], expected_version=1)
        assert [receipt.version for receipt in accepted.receipts] == [2, 3]
        stored = await ledger.log.read_run(made.run_id, after=2, limit=10)
        assert stored[0].body is not None
        assert b'"time":"2026-11-21T22:26:40.000000Z"' in stored[0].body
        assert (ledger.owner, len(ledger.epoch)) == ("me", 16)
        assert ledger.statistics.events == 5


async def test_every_refusal_is_raised_and_the_next_request_works() -> None:
    async with Ledger.open(":memory:") as ledger:
        await ledger.create(RunSpec(kind="k", slot="s"), run_id="r")
        refusals: list[tuple[type[LedgerError], Any]] = [
            (InvalidRun, ledger.create(RunSpec(), run_id="x")),
            (InvalidRun, ledger.create(RunSpec(kind="k"), run_id="a/b")),
            (InvalidRun, ledger.create(RunSpec(kind="k"), run_id="current")),
            (InvalidRun, ledger.create(RunSpec(kind="k"), run_id="")),
            (RunExists, ledger.create(RunSpec(kind="other"), run_id="r")),
            (SlotTaken, ledger.create(RunSpec(kind="k", slot="s"))),
            (InvalidRun, ledger.append("../r", [Ticked(done=1)])),
            (InvalidRun, ledger.append(5, [Ticked(done=1)])),  # type: ignore[arg-type]
            (InvalidRun, ledger.append_many([Append(run_id="a\ud800", drafts=[])])),
            (RunNotFound, ledger.append("nobody", [Ticked(done=1)])),
            (InvalidEvent, ledger.append("r", [Ticked(done=-1)])),
            (InvalidEvent, ledger.append("r", ["ticked"])),  # type: ignore[list-item]
            (InvalidEvent, ledger.append("r", [Ticked(done=1)], expected_version=-1)),
            (InvalidEvent, ledger.append("r", [Ticked(done=1)], expected_version=True)),
            (InvalidEvent, ledger.append("r", [Ticked(done=1)], expected_version="1")),  # type: ignore[arg-type]
            (TooLarge, ledger.append("r", [Noted(message="x" * 65 * 1024)])),
            (VersionConflict, ledger.append("r", [Ticked(done=1)], expected_version=5)),
        ]
        for number, (error, call) in enumerate(refusals):
            with pytest.raises(error):
                await call
            head = await ledger.log.head()
            assert head == number + 1, "a refusal left something"
            await ledger.append("r", [Ticked(done=number)])


async def test_requests_that_stand_alone_fail_alone() -> None:
    async with Ledger.open(":memory:") as ledger:
        good = parse_event("started", b'{"kind":"k"}')
        bad = parse_event("ticked", b'{"done":1}')
        outcomes = await ledger.append_many(
            [
                Append(run_id="a", drafts=[good]),
                Append(run_id="b", drafts=[bad]),
                Append(run_id="a", drafts=[bad]),
            ]
        )
        assert [type(each) for each in outcomes] == [Accepted, RunNotFound, Accepted]


@pytest.mark.parametrize("failure", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), SlotTaken])
async def test_what_the_body_raises_comes_out_as_it_was(tmp_path: Path, failure: Any) -> None:
    path = tmp_path / "log.db"
    with pytest.raises(BaseException) as caught:  # noqa: PT012 - what is raised inside is what is tested
        async with Ledger.open(path) as ledger:
            await ledger.create(RunSpec(kind="k", slot="s"), run_id="r")
            if failure is SlotTaken:
                await ledger.create(RunSpec(kind="k", slot="s"))
            assert isinstance(failure, BaseException)
            raise failure
    assert caught.type is (failure if isinstance(failure, type) else type(failure))
    assert not isinstance(caught.value, BaseExceptionGroup)
    async with Ledger.open(path) as ledger:
        assert await ledger.log.run("r") is not None


async def test_what_was_handed_over_is_on_disk_when_the_ledger_is_left(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    answers: list[int] = []
    opened: list[Ledger] = []
    async with anyio.create_task_group() as producers, Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        opened.append(ledger)

        async def produce(done: int) -> None:
            accepted = await opened[0].append("r", [Ticked(done=done)])
            answers.append(accepted.receipts[0].version)

        for done in range(100):
            producers.start_soon(produce, done)
        await anyio.wait_all_tasks_blocked()
    assert sorted(answers) == list(range(2, 102))
    async with Ledger.open(path) as ledger:
        head = await ledger.log.run("r")
        assert head is not None
        assert head.version == 101
    with pytest.raises(Closed):
        await opened[0].append("r", [Ticked(done=1)])


async def test_a_cancelled_ledger_finishes_what_it_took(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    receipts: list[int] = []

    async def produce(ledger: Ledger) -> None:
        while True:
            accepted = await ledger.append("r", [Ticked(done=1)])
            receipts.append(accepted.receipts[0].version)

    with anyio.CancelScope() as scope:
        async with Ledger.open(path) as ledger, anyio.create_task_group() as tasks:
            await ledger.create(RunSpec(kind="k"), run_id="r")
            for _ in range(10):
                tasks.start_soon(produce, ledger)
            await _until(lambda: len(receipts) > 50)
            scope.cancel()
            await anyio.sleep_forever()
    async with Ledger.open(path) as ledger:
        head = await ledger.log.run("r")
        assert head is not None
        assert head.version >= max(receipts)
        assert (await ledger.append("r", [Completed()])).receipts[0].version == head.version + 1


async def test_a_listener_that_raises_does_not_stand_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    def bad(commit: Commit) -> None:
        raise ZeroDivisionError

    async with Ledger.open(":memory:") as ledger:
        stop = ledger.listen(bad)
        await ledger.create(RunSpec(kind="k"), run_id="r")
        stop()
        await ledger.append("r", [Ticked(done=1)])
    assert [record.levelname for record in caplog.records] == ["ERROR"]


INTERRUPTED = """
import asyncio, sys
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger

async def main(path):
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        async def produce():
            while True:
                accepted = await ledger.append("r", [Ticked(done=1)])
                print(accepted.receipts[0].version, flush=True)
        await asyncio.gather(*(produce() for _ in range(8)))

try:
    asyncio.run(main(sys.argv[1]))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_loses_nothing_and_leaves_a_clean_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(path)],
        cwd=tree.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    versions = [int(process.stdout.readline()) for _ in range(100)]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    *more, last = out.splitlines()
    assert (last, err) == ("interrupted", "")

    async def version() -> int:
        async with Ledger.open(path) as ledger:
            head = await ledger.log.run("r")
            assert head is not None
            return head.version

    assert asyncio.run(version()) >= max(versions + [int(each) for each in more])


async def _until(condition: Any) -> None:
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await anyio.sleep(0.001)
