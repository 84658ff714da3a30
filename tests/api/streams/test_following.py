"""One reader's way: resets, resumes, slow readers, and that nobody misses or repeats anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from progress_ledger.api.streams import replay
from progress_ledger.api.streams.stream import StreamSettings
from progress_ledger.api.streams.tail import Entry
from progress_ledger.ledger.events import Completed, Failed, Noted, Payload, Stage, StageChanged, Ticked
from tests.api.asking import BOUND, Clock
from tests.api.streaming import Connection, Frame, Hub, hub, parse

SMALL = StreamSettings(tail_frames=4, replay_limit=50, keep_alive=0.2)

anyio_only = pytest.mark.anyio


async def _opened(made: Hub, path: str, **more: Any) -> Connection:
    connection = made.connect(path, **more)
    return await connection.until(lambda one: len(one.frames) >= 2)


# ── resume ──────────────────────────────────────────────────────────────────────────────────────────────


@anyio_only
@pytest.mark.parametrize("where", ["header", "last_event_id", "lastEventId"])
async def test_a_cursor_is_taken_from_the_header_or_the_query(tmp_path: Path, where: str) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        await made.ledger.append("r", [Ticked(done=1), Ticked(done=2)])
        cursor = f"{made.ledger.epoch}-2"
        if where == "header":
            stream = made.connect("r", {"last_event_id": "nonsense"}, last_event_id=cursor)
        else:
            stream = made.connect("r", {where: cursor})
        await stream.until(lambda one: len(one.frames) == 2)
        assert stream.frames[0].data["status"] == "resumed"
        assert stream.frames[1].data["event"]["version"] == 3
        await stream.cut()


@anyio_only
@pytest.mark.parametrize("path", ["r", "/v1/stream"])
async def test_a_cursor_that_says_nothing_here_is_reset_with_its_reason_and_a_snapshot(
    tmp_path: Path, path: str
) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        epoch = made.ledger.epoch
        cursors = {"future": f"{epoch}-99", "epoch": "0000000000000000-1", "unknown": "what is this?"}
        for reason, cursor in cursors.items():
            stream = await _opened(made, path, last_event_id=cursor)
            assert stream.frames[0].data["status"] == "reset"
            assert stream.frames[0].data["reason"] == reason
            assert stream.frames[1].event == "snapshot"
            await made.ledger.append("r", [Noted(message=reason)])
            await stream.until(lambda one: bool(one.events))
            await stream.cut()


@anyio_only
@pytest.mark.parametrize("path", ["r", "/v1/stream"])
@pytest.mark.parametrize("restart", [False, True])
async def test_up_to_the_limit_exactly_what_was_missed_is_sent_and_beyond_it_a_snapshot(
    tmp_path: Path, path: str, restart: bool
) -> None:
    limits = StreamSettings(replay_limit=10)
    async with hub(tmp_path / "a.db", limits) as made:
        await made.begin("r", total=100)
        live = await _opened(made, path)
        for done in range(1, 12):
            await made.ledger.append("r", [Ticked(done=done)])
        await live.until(lambda one: len(one.events) == 11)
        await live.cut()
        if not restart:
            await _expect_limit(made, path, live)
    if restart:
        async with hub(tmp_path / "a.db", limits) as made:
            await _expect_limit(made, path, live)


async def _expect_limit(made: Hub, path: str, live: Connection) -> None:
    within = made.connect(path, last_event_id=f"{made.ledger.epoch}-2")
    await within.until(lambda one: len(one.frames) == 11)
    assert within.frames[0].data["status"] == "resumed"
    # Byte for byte what was sent live, from memory and from the log alike.
    assert [frame.raw for frame in within.events] == [frame.raw for frame in live.events[1:]]
    beyond = await _opened(made, path, last_event_id=f"{made.ledger.epoch}-1")
    assert beyond.frames[0].data["reason"] == "too_old"
    assert beyond.frames[1].data["run"]["done"] == 11
    for stream in (within, beyond):
        await made.ledger.append("r", [Noted(message="on")])
        await stream.until(lambda one: one.frames[-1].event == "noted")
        await stream.cut()


@anyio_only
async def test_a_cursor_from_before_the_run_resumes_with_its_first_event_whole(tmp_path: Path) -> None:
    for restart in (False, True):
        async with hub(tmp_path / f"{restart}.db") as made:
            await made.begin("other")
            await made.begin("r", total=3)
            await made.ledger.append("r", [Ticked(done=1)])
            cursor = f"{made.ledger.epoch}-1"
            if not restart:
                await _expect_whole(made, cursor)
        if restart:
            async with hub(tmp_path / f"{restart}.db") as made:
                await _expect_whole(made, cursor)


async def _expect_whole(made: Hub, cursor: str) -> None:
    stream = made.connect("r", last_event_id=cursor)
    await stream.until(lambda one: len(one.frames) == 3)
    assert [frame.event for frame in stream.frames] == ["hello", "started", "ticked"]
    held = stream.frames[1].data["run"] | stream.frames[2].data["run"]
    assert held.keys() == (await made.snapshot("r")).keys()
    await stream.cut()


@anyio_only
async def test_a_run_that_ended_while_its_reader_was_away_is_resumed_to_its_end(tmp_path: Path) -> None:
    for restart in (False, True):
        async with hub(tmp_path / f"{restart}.db") as made:
            await made.begin("r")
            await made.ledger.append("r", [Ticked(done=1), Ticked(done=2), Completed()])
            cursor = f"{made.ledger.epoch}-2"
            if not restart:
                await _expect_end(made, cursor)
        if restart:
            async with hub(tmp_path / f"{restart}.db") as made:
                await _expect_end(made, cursor)


async def _expect_end(made: Hub, cursor: str) -> None:
    stream = await made.connect("r", last_event_id=cursor).finished()
    assert [frame.event for frame in stream.frames] == ["hello", "ticked", "completed"]
    assert stream.ended
    assert (await made.connect("r", last_event_id=stream.cursor).finished()).status == 204


@anyio_only
@pytest.mark.parametrize("query", [{}, {"every": "100ms"}])
@pytest.mark.parametrize("path", ["r", "/v1/stream"])
async def test_a_crowd_that_comes_back_after_a_restart_is_read_back_to_once(
    tmp_path: Path, path: str, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        await made.ledger.append("r", [Ticked(done=done) for done in range(100)])
    reads = 0
    framed = replay._framed

    async def counted(*args: Any, **more: Any) -> list[Entry]:
        nonlocal reads
        reads += 1
        return await framed(*args, **more)

    monkeypatch.setattr(replay, "_framed", counted)
    async with hub(tmp_path / "a.db") as made:
        epoch = made.ledger.epoch
        crowd = [made.connect(path, query, last_event_id=f"{epoch}-{50 + n % 20}") for n in range(100)]
        for stream in crowd:
            await stream.until(lambda one: len(one.frames) > 1)
        await made.ledger.append("r", [Completed()])
        for stream in crowd:
            await stream.until(lambda one: b'"final":true' in one.received)
        assert reads == 1
        for number, stream in enumerate(crowd):
            assert stream.frames[0].data["status"] == "resumed"
            if not query:
                versions = [frame.data["event"]["version"] for frame in stream.events]
                assert versions == list(range(51 + number % 20, 103))
            await stream.cut()


@anyio_only
async def test_many_events_of_others_do_not_make_a_cursor_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.api.streams.replay._SCANNED", 100)
    async with hub(tmp_path / "a.db") as made:
        await made.begin("quiet", "quiet")
        await made.begin("loud", "loud")
        cursor = f"{made.ledger.epoch}-{made.projector.position}"
        await made.ledger.append("quiet", [Ticked(done=1)])
        await made.ledger.append("loud", [Ticked(done=done) for done in range(500)])
        await made.ledger.append("quiet", [Ticked(done=2)])
    async with hub(tmp_path / "a.db") as made:
        stream = made.connect("/v1/stream", {"kind": "quiet"}, last_event_id=cursor)
        await stream.until(lambda one: len(one.frames) == 3)
        assert stream.frames[0].data["status"] == "resumed"
        assert [frame.data["event"]["data"]["done"] for frame in stream.events] == [1, 2]
        await stream.cut()


@anyio_only
@pytest.mark.parametrize("restart", [False, True])
async def test_a_conflated_stream_is_resumed_with_the_ends_in_their_order_and_the_last_one_as_its_place(
    tmp_path: Path, restart: bool
) -> None:
    async with hub(tmp_path / "a.db") as made:
        for run_id in ("a", "b"):
            await made.begin(run_id)
        seen = Noted(message="seen")
        first = made.connect("/v1/stream", {"every": "100ms"})
        await first.until(lambda one: bool(one.named("live")))
        await first.cut()
        for run_id, event in (("a", seen), ("b", seen), ("b", Completed()), ("a", Completed())):
            await made.ledger.append(run_id, [event])
        if not restart:
            await _expect_ends(made, first.cursor)
    if restart:
        async with hub(tmp_path / "a.db") as made:
            await _expect_ends(made, first.cursor)


async def _expect_ends(made: Hub, cursor: str | None) -> None:
    again = made.connect("/v1/stream", {"every": "100ms"}, last_event_id=cursor)
    await again.until(lambda one: len(one.frames) == 3)
    assert [frame.data["run"]["run_id"] for frame in again.frames[1:]] == ["b", "a"]
    assert again.frames[2].position == made.projector.position
    await again.cut()


# ── slow readers ────────────────────────────────────────────────────────────────────────────────────────


@anyio_only
@pytest.mark.parametrize("query", [{}, {"fields": "full"}, {"every": "100ms"}])
async def test_who_falls_behind_is_told_gets_a_snapshot_and_goes_on(
    tmp_path: Path, query: dict[str, str]
) -> None:
    async with hub(tmp_path / "a.db", SMALL) as made:
        await made.begin("r", total=1000, stages=[Stage(name="a")])
        slow = made.connect("r", query)
        quick = made.connect("r", query)
        for stream in (slow, quick):
            await stream.until(lambda one: len(one.frames) == 2)
        slow.pause()
        for done in range(1, 101):
            # Stage changes go out at once also where ticks are conflated.
            await made.ledger.append("r", [Ticked(done=done), StageChanged(stage="a")])
            await anyio.lowlevel.checkpoint()
        await quick.until(lambda one: one.received.count(b"event: stage_changed") >= 1)
        slow.go_on()
        await slow.until(lambda one: len(one.named("hello")) == 2)
        again = slow.named("hello")[1]
        assert again.data["status"] == "reset"
        assert again.data["reason"] == "behind"
        await slow.until(lambda one: bool(one.named("snapshot")[1:]))
        await made.ledger.append("r", [Completed()])
        for stream in (slow, quick):
            await stream.finished()
            assert stream.frames[-1].data["final"] is True


@anyio_only
@pytest.mark.parametrize("query", [{}, {"every": "100ms"}])
async def test_a_slow_reader_still_gets_the_terminal_frame_of_a_run_that_left_memory(
    tmp_path: Path, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.projections.states.ENDED_KEPT", 1)
    async with hub(tmp_path / "a.db", SMALL) as made:
        await made.begin("r")
        slow = made.connect("r", query)
        await slow.until(lambda one: len(one.frames) == 2)
        slow.pause()
        await made.ledger.append("r", [StageChanged(stage="x")])
        await slow.until(lambda one: one.sends >= 3)
        for number in range(10):
            await made.ledger.append("r", [StageChanged(stage=f"{number}")])
        await made.ledger.append("r", [Failed(error="boom")])
        for number in range(10):
            await made.begin(f"other{number}")
            await made.ledger.append(f"other{number}", [Completed()])
        slow.go_on()
        await slow.finished()
        assert slow.frames[-1].event == "failed"
        assert slow.frames[-1].data["final"] is True


@anyio_only
async def test_a_slow_reader_of_many_runs_is_told_how_those_ended_that_it_missed(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db", SMALL) as made:
        for run_id in ("a", "b", "stays"):
            await made.begin(run_id)
        slow = made.connect("/v1/stream")
        await slow.until(lambda one: bool(one.named("live")))
        slow.pause()
        await made.ledger.append("stays", [Ticked(done=1)])
        await slow.until(lambda one: one.sends >= 3)
        await made.ledger.append("a", [Completed()])
        await made.ledger.append("b", [Failed(error="boom")])
        await made.begin("short")
        await made.ledger.append("short", [Completed()])
        for done in range(2, 20):
            await made.ledger.append("stays", [Ticked(done=done)])
        slow.go_on()
        await slow.until(lambda one: len(one.named("live")) == 2)
        since = [frame.event for frame in slow.frames].index("hello", 1)
        told = slow.frames[since:]
        ends = {frame.data["run"]["run_id"]: frame for frame in told if frame.data.get("final")}
        assert {run_id: frame.event for run_id, frame in ends.items()} == {
            "a": "completed",
            "b": "failed",
            "short": "completed",
        }
        # No place to come back to before all of it was told.
        assert next(frame.event for frame in told if frame.id is not None) == "live"
        await slow.cut()


@anyio_only
async def test_a_reader_that_stands_still_makes_the_server_hold_one_piece_and_nobody_wait(
    tmp_path: Path,
) -> None:
    async with hub(tmp_path / "a.db", SMALL) as made:
        await made.begin("r")
        frozen = made.connect("r")
        await frozen.until(lambda one: len(one.frames) == 2)
        frozen.pause()
        for done in range(1, 500):
            await made.ledger.append("r", [Ticked(done=done)])
        assert frozen.sends == 3  # head, opening, one piece that waits
        await frozen.cut()


# ── the property ────────────────────────────────────────────────────────────────────────────────────────

_RUNS = ("a", "b", "c")
_steps = st.one_of(
    st.tuples(st.just("tick"), st.sampled_from(_RUNS), st.integers(1, 4)),
    st.tuples(st.just("stage"), st.sampled_from(_RUNS), st.integers(1, 2)),
    st.tuples(st.just("end"), st.sampled_from(_RUNS), st.just(0)),
    st.tuples(st.just("cut"), st.integers(0, 3), st.integers(0, 5000)),
    st.tuples(st.just("pause"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("go on"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("breathe"), st.integers(1, 5), st.just(0)),
)


class _Client:
    """What a client holds, by the rules of the streams alone; every frame it reads is checked."""

    def __init__(self, made: Hub, path: str, query: dict[str, str]) -> None:
        self.made = made
        self.path = path
        self.query = query
        self.many = path.startswith("/")
        self.held: dict[str, dict[str, Any]] = {}
        self.ended: dict[str, dict[str, Any]] = {}
        self.fresh: dict[str, dict[str, Any]] | None = None
        self.cursor: str | None = None
        self.over = False
        self.read = 0
        self.connection = made.connect(path, query)

    def take(self, limit: int | None = None) -> None:
        """Read what came, or only so many bytes of it."""
        received = self.connection.received
        whole = received if limit is None else received[:limit]
        if self.connection.status == 204:
            self.over = True
        frames, _, _ = parse(whole)
        for frame in frames[self.read :]:
            self.frame(frame)
        self.read = max(self.read, len(frames))

    def frame(self, frame: Frame) -> None:
        if frame.id is not None:
            self.cursor = frame.id
        if frame.event == "hello":
            resumed = frame.data["status"] == "resumed"
            self.fresh = None if resumed else {}
        elif frame.event == "live":
            assert self.fresh is not None
            assert frame.data["runs"] == len(self.fresh)
            self.held, self.fresh = self.fresh, None
        elif frame.event == "snapshot":
            run = frame.data["run"]
            into = self.held if self.fresh is None or not self.many else self.fresh
            before = self.held.get(run["run_id"])
            assert before is None or run["version"] >= before["version"], frame
            into[run["run_id"]] = run
            if not self.many:
                self.fresh = None
        elif "event" in frame.data:
            self.event(frame)

    def event(self, frame: Frame) -> None:
        event, run = frame.data["event"], frame.data["run"]
        run_id, version = event["run_id"], event["version"]
        before = self.held.get(run_id)
        final = frame.data.get("final", False)
        if self.many and self.fresh is not None:
            # What ended meanwhile, told before live: whole, and nothing to go on from if it is cut off here.
            assert final
            assert before is None or version >= before["version"]
            self.ended[run_id] = run
            return
        if "every" in self.query:
            # Conflated: whole, and never older than what is held.
            assert before is None or version >= before["version"]
            self.held[run_id] = run
        elif final and before is not None and before["finished_at"] is not None:
            assert version == before["version"]
        elif before is None:
            assert version == 1, frame
            self.held[run_id] = run
        else:
            assert version == before["version"] + 1, (before["version"], frame)
            self.held[run_id] = before | run
        if final:
            self.ended[run_id] = self.held[run_id]
            self.over = self.over or not self.many

    async def cut(self, limit: int | None) -> None:
        """Lose the connection after so many bytes, and come back with the last id that was whole."""
        if self.over:
            return
        await self.connection.cut()
        self.take(limit)
        self.read = 0
        if not self.over:
            self.fresh = None
            self.connection = self.made.connect(self.path, self.query, last_event_id=self.cursor)


async def _scenario(tail_frames: int, replay_limit: int, steps: list[tuple[str, Any, int]]) -> None:
    limits = StreamSettings(tail_frames=tail_frames, replay_limit=replay_limit)
    clock = Clock()
    clock.now = float(int(clock.now))
    async with hub(":memory:", limits, clock) as made:
        await made.begin("a", total=50, stages=[Stage(name="0")])
        clients = [
            _Client(made, "a", {}),
            _Client(made, "/v1/stream", {}),
            _Client(made, "/v1/stream", {"fields": "full"}),
            _Client(made, "/v1/stream", {"every": "100ms"}),
        ]
        begun = {"a": 0}
        over: set[str] = set()

        async def append(run_id: str, events: list[Payload]) -> None:
            if run_id in over:
                return
            if run_id not in begun:
                begun[run_id] = 0
                await made.begin(run_id)
            await made.ledger.append(run_id, events)

        for what, whom, number in steps:
            if what == "tick":
                done = begun.get(whom, 0)
                await append(
                    whom, [Ticked(done=done + n, counts={"n": done + n}) for n in range(1, number + 1)]
                )
                begun[whom] += number
            elif what == "stage":
                await append(whom, [StageChanged(stage=f"{number}"), Noted(message=f"in {number}")])
            elif what == "end":
                await append(whom, [Completed()])
                over.add(whom)
            elif what == "cut":
                client = clients[whom]
                have = len(client.connection.received)
                await client.cut(have - number % (have + 1))
            elif what == "pause":
                clients[whom].connection.pause()
            elif what == "go on":
                clients[whom].connection.go_on()
            else:
                for _ in range(whom):
                    await anyio.lowlevel.checkpoint()
        for run_id in _RUNS:
            await append(run_id, [Noted(message="the end")])
        for client in clients:
            client.connection.go_on()
        for run_id in _RUNS:
            if run_id not in over:
                await made.ledger.append(run_id, [Completed()])
        now = {run_id: await made.snapshot(run_id) for run_id in _RUNS}
        with anyio.fail_after(BOUND):
            for client in clients:
                wanted = set(_RUNS) - (over if client.many else set())
                if not client.many:
                    wanted = {"a"}
                while not wanted <= client.ended.keys() and not client.over:
                    client.connection.open.set()
                    await anyio.sleep(0.001)
                    client.take()
                    if client.connection.done.is_set() and not client.over:
                        await client.cut(None)
        for client in clients:
            for run_id in client.ended.keys() - over:
                assert client.ended[run_id] == now[run_id]
        for client in clients:
            await client.connection.cut()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 6), st.integers(1, 12), st.lists(_steps, min_size=5, max_size=40))
def test_whatever_happens_each_event_is_seen_once_in_order_or_a_reset_is_told_and_its_snapshot_is_right(
    tail_frames: int, replay_limit: int, steps: list[tuple[str, Any, int]]
) -> None:
    anyio.run(_scenario, tail_frames, replay_limit, steps)
