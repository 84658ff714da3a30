"""From one fold to many readers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from progress_ledger.api.streams.direct import Line
from progress_ledger.api.streams.fanout import Fanout
from progress_ledger.api.streams.reader import Reader
from progress_ledger.api.streams.topic import Topic
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import RunFilter
from progress_ledger.projections import Projector
from tests.api.asking import BOUND, Clock

pytestmark = pytest.mark.anyio

ONE = RunFilter(run_ids=frozenset(("r",)))


class Transport:
    """Shows what is written to it. While it is not ready it would have to keep that."""

    def __init__(self) -> None:
        self.ready = True
        self.closing = False
        self.written: list[bytes] = []

    def write(self, data: bytes, /) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return 0 if self.ready else 1

    def is_closing(self) -> bool:
        return self.closing


class Made:
    def __init__(self, ledger: Ledger, projector: Projector, fanout: Fanout, clock: Clock) -> None:
        self.ledger = ledger
        self.projector = projector
        self.fanout = fanout
        self.clock = clock

    def join(self, where: RunFilter = ONE, **more: Any) -> tuple[Topic, Reader, Transport]:
        """A reader that waits at the end of its topic's tail, with a line of its own."""
        reader = Reader(alone=False)
        topic = self.fanout.join(where, more.get("mode", "change"), more.get("every"), reader)
        reader.place = topic.tail.end
        transport = Transport()
        reader.line = Line(SimpleNamespace(transport=transport, flow=None))
        reader.rest()
        reader.due = reader.check = float("inf")
        return topic, reader, transport

    async def tick(self, done: int) -> None:
        await self.ledger.append("r", [Ticked(done=done)])


@asynccontextmanager
async def _made(path: Path, **more: Any) -> AsyncIterator[Made]:
    clock = Clock()
    async with (
        Ledger.open(path, durability="process", clock=clock) as ledger,
        Projector.open(ledger) as projector,
    ):
        await ledger.create(RunSpec(kind="job"), run_id="r")
        fanout = Fanout(projector, epoch=ledger.epoch, clock=clock, **more)
        projector.follow(fanout)
        yield Made(ledger, projector, fanout, clock)
        fanout.drain()


async def _until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(BOUND):
        while not holds():  # noqa: ASYNC110 - nobody tells a test when a fan-out is through
            await anyio.sleep(0.001)


async def test_all_readers_of_a_stream_are_written_the_same_bytes_made_once(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db") as made:
        joined = [made.join() for _ in range(300)]
        assert {id(topic) for topic, _, _ in joined} == {id(joined[0][0])}
        await made.tick(1)
        await _until(lambda: all(transport.written for _, _, transport in joined))
        assert len({id(transport.written[0]) for _, _, transport in joined}) == 1
        assert made.fanout.statistics[:3] == (300, 1, 1)


async def test_an_event_of_several_streams_is_encoded_once_for_each_form(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db") as made:
        joined = [
            made.join(where, mode=mode)
            for where in (ONE, RunFilter(), RunFilter(kind="job"), RunFilter(kind="other"))
            for mode in ("change", "full")
        ]
        await made.tick(1)
        await _until(lambda: sum(len(transport.written) for _, _, transport in joined) == 6)
        assert made.fanout.statistics.frames == 2


async def test_a_reader_that_cannot_be_written_to_is_woken_and_the_others_are_served(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db") as made:
        _, slow, stuck = made.join()
        stuck.ready = False
        _, leaving, gone = made.join()
        gone.closing = True
        _, plain, _ = made.join()
        plain.wake()
        plain.line = None
        plain.rest()
        _, _, quick = made.join()
        await made.tick(1)
        await _until(lambda: bool(quick.written))
        assert not stuck.written
        assert not gone.written
        assert not any(reader.waiting for reader in (slow, leaving, plain))


async def test_a_reader_that_is_at_its_own_work_is_left_alone(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db") as made:
        topic, working, transport = made.join()
        working.wake()
        _, _, other = made.join()
        await made.tick(1)
        await _until(lambda: bool(other.written))
        assert not transport.written
        assert working.place == topic.tail.end - 1


async def test_while_commits_are_under_way_readers_are_served_all_the_same(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db", busy=lambda: True) as made:
        joined = [made.join() for _ in range(300)]
        for done in range(1, 6):
            await made.tick(done)
        await _until(lambda: all(b'"done":5,' in b"".join(t.written) for _, _, t in joined))
        assert all(reader.place == topic.tail.end for topic, reader, _ in joined)


async def test_a_machine_that_gives_the_loop_little_time_makes_its_rests_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By the clock each slice takes a quarter of an hour here, which others had of the processor.
    monkeypatch.setattr("progress_ledger.api.streams.fanout.perf_counter", count(step=1_000).__next__)
    async with _made(tmp_path / "a.db", busy=lambda: True) as made:
        joined = [made.join() for _ in range(300)]
        await made.tick(1)
        await _until(lambda: all(transport.written for _, _, transport in joined))


async def test_a_reader_that_is_several_pieces_behind_is_served_in_several_rounds(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db") as made:
        joined = [made.join() for _ in range(50)]
        topic = joined[0][0]
        await made.ledger.append("r", [Ticked(done=done) for done in range(1, 601)])
        await _until(lambda: all(reader.place == topic.tail.end for _, reader, _ in joined))
        for _, reader, transport in joined:
            assert reader.waiting
            assert len(transport.written) > 2
            assert b"".join(transport.written).count(b"event: ticked") == 600


async def test_a_frame_that_cannot_be_made_leaves_readers_behind_and_not_uninformed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no frame")

    async with _made(tmp_path / "a.db") as made:
        topic, reader, _ = made.join()
        with monkeypatch.context() as patch:
            patch.setattr("progress_ledger.api.streams.fanout.encode_event", broken)
            await made.tick(1)
        await _until(lambda: not reader.waiting)
        assert topic.tail.piece(reader.place) is None
        assert topic.tail.floor == made.projector.position


async def test_a_conflated_stream_is_conflated_once_for_all_its_readers(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db") as made:
        joined = [made.join(every=0.1) for _ in range(5)]
        for done in range(1, 50):
            await made.tick(done)
        await _until(lambda: all(b'"done":49,' in b"".join(t.written) for _, _, t in joined))
        assert len({b"".join(transport.written) for _, _, transport in joined}) == 1
        assert b"event: ticked" not in joined[0][2].written[0]


async def test_a_snapshot_is_made_once_for_all_who_ask_within_a_moment(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db") as made:
        made.clock.now = float(int(made.clock.now))
        state = made.projector.peek("r")
        assert state is not None
        first = made.fanout.snapshot_frame(state)
        assert made.fanout.snapshot_frame(state) is first
        made.clock.now += 1
        assert made.fanout.snapshot_frame(state) is not first
        before = made.fanout.snapshot_frame(state)
        await made.tick(1)
        assert made.fanout.snapshot_frame(state) is not before


async def test_a_stream_without_readers_is_kept_for_a_while_and_then_let_go(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db", keep_alive=0.04) as made:
        topic, reader, _ = made.join()
        made.fanout.leave(topic, reader)
        assert made.fanout.statistics.streams == 0
        again, second, _ = made.join()
        assert again is topic
        made.fanout.leave(again, second)
        made.clock.now += 60
        await _until(lambda: made.fanout.statistics.topics == 0)


async def test_memory_for_tails_is_shared_out_among_the_streams(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db", tail_bytes=400_000, keep_alive=0.04) as made:
        topic, _, _ = made.join()
        for done in range(500):
            await made.tick(done)
        assert topic.tail.place_after(1) is not None
        for number in range(10):
            made.join(RunFilter(run_ids=frozenset((f"other{number}",))))
        await _until(lambda: topic.tail.place_after(1) is None)


async def test_silence_and_checks_wake_readers(tmp_path: Path) -> None:
    async with _made(tmp_path / "a.db", keep_alive=0.04) as made:
        _, quiet, _ = made.join()
        _, unchecked, _ = made.join()
        _, neither, _ = made.join()
        quiet.due = 0.0
        unchecked.check = 0.0
        await _until(lambda: not quiet.waiting and not unchecked.waiting)
        assert neither.waiting
