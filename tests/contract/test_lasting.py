"""What holds for a log that outlives the engine: reopened, opened twice, written by several processes."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from progress_ledger.ledger.errors import RunEnded, RunExists, SlotTaken, VersionConflict
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.log import Accepted, Document, EventLog, RunFilter
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.file import connect_writer
from tests import tree
from tests.contract.steps import accepted, append, contents, creation, draft, events, refused, ticks

pytestmark = pytest.mark.anyio

Lasting = Callable[[], AbstractAsyncContextManager[EventLog]]


async def test_what_was_accepted_is_there_after_reopening(lasting: Lasting) -> None:
    spec = RunSpec(kind="k", labels={"a": "ü"}, slot="s")
    async with lasting() as log:
        epoch = log.epoch
        first = await accepted(log, creation("r", spec))
        tick = await accepted(log, append("r", draft(Ticked(done=1), "a")))
        await log.save_documents("space", [Document("k", 2, b"v")], checkpoint=2)
        before, head = await contents(log), await log.run("r")
    async with lasting() as log:
        assert log.epoch == epoch
        assert await contents(log) == before
        assert await log.run("r") == head
        assert await log.head() == before[-1][0]
        assert await log.load_documents("space") == [Document("k", 2, b"v")]
        assert await log.checkpoint("space") == 2
        # the rules know what was before
        assert (await accepted(log, creation("r", spec))).receipts == first.receipts
        assert await accepted(log, append("r", draft(Ticked(done=1), "a"))) == Accepted(
            receipts=tick.receipts, appended=0
        )
        assert isinstance(await refused(log, creation("s", spec)), SlotTaken)
        assert isinstance(await refused(log, creation("r", RunSpec(kind="x"))), RunExists)
        more = await accepted(log, append("r", *ticks(2), expected=2))
        assert more.receipts[0].version == 3
        assert more.receipts[0].position > before[-1][0]


async def test_two_engines_on_one_log_refuse_each_others_conflicts_like_one(lasting: Lasting) -> None:
    spec = RunSpec(kind="k", slot="s")
    async with lasting() as one, lasting() as two:
        assert one.epoch == two.epoch
        await accepted(one, creation("r", spec))
        error = await refused(two, creation("other", spec))
        assert isinstance(error, SlotTaken)
        assert error.run.run_id == "r"
        assert (await accepted(two, creation("r", spec))).appended == 0
        # each of the two remembers heads; neither may trust them once the other has written
        await accepted(two, append("r", draft(Ticked(done=1), "a"), expected=1))
        assert isinstance(await refused(one, append("r", *ticks(2), expected=1)), VersionConflict)
        assert (await accepted(one, append("r", draft(Ticked(done=1), "a")))).appended == 0
        await accepted(one, append("r", *ticks(2), expected=2))
        await accepted(two, append("r", draft(Completed()), expected=3))
        assert isinstance(await refused(one, append("r", *ticks(3))), RunEnded)
        await accepted(one, creation("other", spec))
        assert await contents(one) == await contents(two)
        assert [event.version for event in await events(two, "r")] == [1, 2, 3, 4]


async def test_engines_that_write_in_turns_lose_nothing(lasting: Lasting) -> None:
    async with lasting() as one, lasting() as two:
        await accepted(one, creation("r"))

        async def write(log: EventLog) -> list[int]:
            return [
                (await accepted(log, append("r", *ticks(done)))).receipts[0].version for done in range(100)
            ]

        versions = await asyncio.gather(write(one), write(two))
        assert sorted(versions[0] + versions[1]) == list(range(2, 202))
        assert [event.version for event in await events(one, "r")] == list(range(1, 202))


@pytest.mark.timeout(120)
def test_processes_that_write_one_file_keep_versions_and_positions_dense(tmp_path: Path) -> None:
    path, rounds = tmp_path / "log.db", 60
    names = ("a", "b", "c")
    # They begin the file at the same instant, too.
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contract.producer", str(path), name, str(rounds)],
            cwd=tree.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    receipts: list[tuple[str, int, int]] = []
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        for line in out.splitlines():
            run_id, *numbers = line.split()
            if run_id == "won":
                assert int(numbers[0]) > 0
            else:
                receipts.append((run_id, int(numbers[0]), int(numbers[1])))

    async def read() -> tuple[list[tuple[str, int, int]], list[tuple[str, str]]]:
        async with SQLiteLog.open(path, now=1.0) as log:
            heads = (await log.runs(RunFilter(), order="created", limit=100_000)).runs
            stored: list[tuple[str, int, int]] = []
            for head in heads:
                found = await events(log, head.run_id)
                assert (head.version, head.last) == (found[-1].version, found[-1].position)
                stored += [(event.run_id, event.position, event.version) for event in found]
            everything = await contents(log)
            assert len(everything) == len(stored)
            slots: list[tuple[int, str, str]] = []
            for head in heads:
                if head.slot is not None:
                    slots += [(e.position, e.type, e.run_id) for e in await events(log, head.run_id)]
            return stored, [(kind, run_id) for _, kind, run_id in sorted(slots)]

    stored, slots = asyncio.run(read())
    created_by_all = {("shared", position, version) for _, position, version in stored if version == 1}
    assert set(receipts) | (created_by_all & set(stored)) == set(stored)
    assert len(receipts) == len(set(receipts))
    assert sorted(position for _, position, _ in stored) == list(range(1, len(stored) + 1))
    versions: dict[str, list[int]] = defaultdict(list)
    for run_id, _, version in sorted(stored, key=lambda each: each[1]):
        versions[run_id].append(version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert len(versions["shared"]) == 1 + len(names) * rounds
    # the slot: taken, given back, taken, …
    for (began, run_id), (ended, same) in zip(slots[::2], slots[1::2], strict=True):
        assert (began, ended) == ("started", "completed")
        assert run_id == same


async def test_a_position_is_never_given_twice_whatever_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SQLiteLog.open(path, now=1.0) as log:
        await accepted(log, creation("r"))
        last = (await accepted(log, append("r", *ticks(*range(9))))).receipts[-1].position
    connection = connect_writer(path, durability="power", busy_timeout=5, now=1.0)
    connection.execute("DELETE FROM event WHERE position > 4")
    connection.execute("VACUUM")
    connection.close()
    async with SQLiteLog.open(path, now=1.0) as log:
        assert await log.head() == last
        assert (await accepted(log, creation("s"))).receipts[0].position == last + 1
        assert [position for position, _ in await contents(log)] == [1, 2, 3, 4, last + 1]


def test_a_killed_process_loses_nothing_it_had_a_receipt_for(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.contract.producer", str(path), "a", "100000"],
        cwd=tree.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    receipts = [process.stdout.readline().split() for _ in range(200)]
    process.kill()
    rest, _ = process.communicate()
    # the last line may be cut in the middle
    receipts += [line.split() for line in rest.splitlines()[:-1]]

    async def look() -> set[tuple[str, str, str]]:
        async with SQLiteLog.open(path, now=1.0) as log:
            check = await log.on_reader(
                lambda connection: connection.execute("PRAGMA quick_check").fetchall()
            )
            assert check == [("ok",)]
            return {
                (event.run_id, str(event.position), str(event.version))
                for head in (await log.runs(RunFilter(), limit=100_000)).runs
                for event in await events(log, head.run_id)
            }

    assert {(run_id, position, version) for run_id, position, version in receipts} <= asyncio.run(look())


def test_the_file_is_plain_sqlite_that_its_own_shell_can_read(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    async def write() -> None:
        async with SQLiteLog.open(path, now=1.0) as log:
            await accepted(log, creation("r"))

    asyncio.run(write())
    with sqlite3.connect(path) as connection:
        (found,) = connection.execute("SELECT json_extract(body, '$.data.kind') FROM event").fetchone()
    connection.close()
    assert found == "k"
