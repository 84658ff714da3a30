"""The streams as the contract words them, over the application itself."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from progress_ledger.api.streams.stream import StreamSettings
from progress_ledger.ledger.events import (
    CancelRequested,
    Completed,
    Failed,
    Heartbeat,
    Noted,
    Paused,
    Resumed,
    Rewound,
    RunSpec,
    Stage,
    StageChanged,
    Started,
    Ticked,
    TotalChanged,
)
from progress_ledger.ledger.ledger import Ledger
from tests.api.asking import Clock
from tests.api.streaming import Connection, Frame, Hub, hub

pytestmark = pytest.mark.anyio

AGES = {"elapsed_seconds", "active_seconds", "eta_seconds", "eta_low", "eta_high", "finish_at"}


def _names(connection: Connection) -> list[str]:
    return [frame.event for frame in connection.frames]


def _patched(frames: list[Frame]) -> dict[str, Any]:
    """What a client holds of the one run in these frames: snapshots replace, changes are laid over."""
    held: dict[str, Any] = {}
    for frame in frames:
        if frame.event == "snapshot":
            held = dict(frame.data["run"])
        elif "run" in frame.data:
            held |= frame.data["run"]
    return held


async def test_the_head_says_event_stream_and_forbids_storing_and_buffering(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        for stream in (made.connect("r"), made.connect("/v1/stream")):
            await stream.until(lambda one: bool(one.frames))
            assert stream.status == 200
            assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert stream.headers["cache-control"] == "no-store, no-transform"
            assert stream.headers["x-accel-buffering"] == "no"
            await stream.cut()


async def test_a_stream_opens_with_hello_then_the_snapshot_then_each_event(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r", total=10)
        stream = made.connect("r")
        await stream.until(lambda one: len(one.frames) == 2)
        hello, snapshot = stream.frames
        assert hello.data == {"status": "new", "reason": None, "epoch": made.ledger.epoch, "head": 1}
        assert hello.retry is not None
        assert hello.id is None
        assert snapshot.event == "snapshot"
        assert snapshot.id == f"{made.ledger.epoch}-1"
        assert snapshot.data == {"run": await made.snapshot("r")}
        await made.ledger.append("r", [Ticked(done=3), Noted(message="x")])
        await made.ledger.append("r", [Heartbeat()])
        await stream.until(lambda one: len(one.frames) == 5)
        assert _names(stream)[2:] == ["ticked", "noted", "heartbeat"]
        assert [frame.id for frame in stream.frames[2:]] == [f"{made.ledger.epoch}-{p}" for p in (2, 3, 4)]
        assert [frame.data["event"]["version"] for frame in stream.frames[2:]] == [2, 3, 4]
        await stream.cut()


async def test_an_event_in_a_frame_has_the_bytes_of_the_history(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        stream = made.connect("r")
        await stream.until(lambda one: len(one.frames) == 2)
        await made.ledger.append(
            "r", [Noted(message="Grüße\u2028\u0085 \U0001f600", link="https://x.y/?a=1")]
        )
        await stream.until(lambda one: len(one.frames) == 3)
        asked = made.connect("/v1/runs/r/events", {"after": 1})
        await asked.finished()
        history = asked.received.partition(b'{"events":[')[2].rpartition(b'],"next"')[0]
        assert stream.frames[2].raw.startswith(b'event: noted\ndata: {"event":' + history + b',"run":{')
        await stream.cut()


async def test_patched_changes_are_the_snapshot_that_get_shows(tmp_path: Path) -> None:
    clock = Clock()
    # Whole and quarter seconds: an event's time has microseconds, the clock more.
    clock.now = float(int(clock.now))
    stages = [Stage(name="a"), Stage(name="b", weight=3.0)]
    async with hub(tmp_path / "a.db", clock=clock) as made:
        await made.begin("r", total=100, unit="rows", stages=stages, queued=True)
        stream = made.connect("r")
        await stream.until(lambda one: len(one.frames) == 2)
        steps: list[Any] = [
            Noted(message="waiting"),
            Started(),
            StageChanged(stage="a", total=10, message="go"),
            Ticked(done=4, counts={"bad": 1}, message="four"),
            Ticked(advance=3),
            Paused(reason="lunch"),
            Resumed(),
            TotalChanged(total=20),
            Rewound(done=2, reason="again"),
            Heartbeat(),
            StageChanged(stage="c"),
            Ticked(done=1, total=4),
            CancelRequested(reason="enough", by="me"),
            Noted(message="last words", level="warning"),
        ]
        for step in steps:
            clock.now += 7.25
            await made.ledger.append("r", [step])
            await stream.until(lambda one: one.cursor == f"{made.ledger.epoch}-{made.projector.position}")
            held = _patched(stream.frames)
            assert held == await made.snapshot("r"), step
        clock.now += 1
        await made.ledger.append("r", [Failed(error="boom", message="sorry")])
        await stream.finished()
        assert _patched(stream.frames) == await made.snapshot("r")


async def test_full_fields_send_whole_snapshots(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r", total=10)
        stream = made.connect("r", {"fields": "full"})
        await stream.until(lambda one: len(one.frames) == 2)
        await made.ledger.append("r", [Ticked(done=3)])
        await stream.until(lambda one: len(one.frames) == 3)
        assert stream.frames[2].data["run"] == await made.snapshot("r")
        await stream.cut()


async def test_a_frame_tells_what_ages_and_leaves_out_what_did_not_change(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r", total=10, title="T", labels={"a": "b"})
        stream = made.connect("r")
        await stream.until(lambda one: len(one.frames) == 2)
        await made.ledger.append("r", [Heartbeat()])
        await stream.until(lambda one: len(one.frames) == 3)
        told = stream.frames[2].data["run"]
        assert {"status", "percent", "stalled", "stalled_seconds", "rate"} | AGES <= set(told)
        assert not {"title", "labels", "kind", "stages", "done", "counts", "result"} & set(told)
        await stream.cut()


async def test_the_terminal_frame_is_final_and_ends_the_response(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        stream = made.connect("r")
        await stream.until(lambda one: len(one.frames) == 2)
        await made.ledger.append("r", [Ticked(done=1), Completed(result={"n": 1})])
        await stream.finished()
        assert stream.ended
        assert _names(stream)[2:] == ["ticked", "completed"]
        assert "final" not in stream.frames[2].data
        assert stream.frames[3].data["final"] is True
        again = await made.connect("r", last_event_id=stream.cursor).finished()
        assert (again.status, again.received) == (204, b"")


async def test_a_run_that_is_over_answers_snapshot_terminal_frame_and_end(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        live = made.connect("r")
        await live.until(lambda one: len(one.frames) == 2)
        await made.ledger.append("r", [Completed()])
        await live.finished()
        late = await made.connect("r").finished()
        assert _names(late) == ["hello", "snapshot", "completed"]
        assert late.frames[1].id is None
        assert late.frames[2].raw == live.frames[2].raw
        full = await made.connect("r", {"fields": "full"}).finished()
        assert full.frames[2].data["run"] == await made.snapshot("r")
        paced = await made.connect("r", {"every": "1s"}).finished()
        assert _names(paced) == ["hello", "snapshot", "completed"]
        assert paced.cursor == live.cursor


async def test_an_unknown_run_is_404_json_before_any_byte_of_a_stream(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        for run_id in ("nobody", "..", "a%20b"):
            asked = await made.connect(run_id).finished()
            assert asked.status == 404
            assert asked.headers["content-type"].startswith("application/problem+json")
            assert json.loads(asked.received)["code"] == "run_not_found"


async def test_head_answers_the_headers_and_ends(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        await made.begin("over")
        await made.ledger.append("over", [Completed()])
        for path in ("r", "over", "/v1/stream"):
            asked = await made.connect(path, method="HEAD").finished()
            assert (asked.status, asked.received) == (200, b"")
            assert asked.headers["content-type"].startswith("text/event-stream")
        assert (await made.connect("nobody", method="HEAD").finished()).status == 404


async def test_another_method_is_refused(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        asked = await made.connect("r", method="POST").finished()
        assert (asked.status, asked.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "query", [{"every": "soon"}, {"every": "5ms"}, {"every": "2h"}, {"fields": "some"}, {"label": "x"}]
)
async def test_a_parameter_that_is_not_understood_is_400_and_named(
    tmp_path: Path, query: dict[str, str]
) -> None:
    async with hub(tmp_path / "a.db") as made:
        asked = await made.connect("/v1/stream", query).finished()
        assert asked.status == 400
        problem = json.loads(asked.received)
        assert problem["code"] == "malformed"
        assert next(iter(query)) in problem["detail"]


# ── many runs ───────────────────────────────────────────────────────────────────────────────────────────


async def test_many_runs_come_as_snapshots_without_id_then_live_with_one(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        for run_id in ("a", "b", "over"):
            await made.begin(run_id)
        await made.ledger.append("over", [Completed()])
        stream = made.connect("/v1/stream")
        await stream.until(lambda one: bool(one.named("live")))
        hello, *snapshots, live = stream.frames
        assert hello.event == "hello"
        assert {frame.data["run"]["run_id"] for frame in snapshots} == {"a", "b"}
        assert {frame.id for frame in snapshots} == {None}
        assert live.data == {"runs": 2}
        assert live.id == f"{made.ledger.epoch}-4"
        await stream.cut()


async def test_a_run_that_begins_on_a_stream_of_many_shows_itself_whole(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        stream = made.connect("/v1/stream")
        await stream.until(lambda one: bool(one.named("live")))
        await made.begin("fresh", total=5, title="New", labels={"x": "y"})
        await made.begin("later", queued=True)
        await stream.until(lambda one: len(one.events) == 2)
        assert _names(stream)[2:] == ["started", "queued"]
        assert stream.events[0].data["run"] == await made.snapshot("fresh")
        assert stream.events[1].data["run"] == await made.snapshot("later")
        await stream.cut()


async def test_a_terminal_frame_is_final_on_a_stream_of_many_and_the_stream_goes_on(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("a")
        await made.begin("b")
        stream = made.connect("/v1/stream")
        await stream.until(lambda one: bool(one.named("live")))
        await made.ledger.append("a", [Completed()])
        await made.ledger.append("b", [Ticked(done=1)])
        await stream.until(lambda one: len(one.events) == 2)
        assert [frame.data.get("final") for frame in stream.events] == [True, None]
        assert not stream.ended
        await stream.cut()


async def test_a_stream_of_many_holds_what_its_filters_name_and_nothing_else(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("a", "big", scope="s", labels={"team": "x"}, slot="one")
        await made.begin("b", "small", parent="a")
        wanted: dict[str, tuple[dict[str, Any], set[str]]] = {
            "kind": ({"kind": "big"}, {"a"}),
            "kinds": ({"kind": ["big", "small"]}, {"a", "b"}),
            "scope": ({"scope": "s"}, {"a"}),
            "label": ({"label": "team:x"}, {"a"}),
            "parent": ({"parent": "a"}, {"b"}),
            "slot": ({"slot": "one"}, {"a"}),
            "run": ({"run": "b"}, {"b"}),
            "runs": ({"run": ["a", "b"]}, {"a", "b"}),
            "nothing": ({"kind": "none"}, set()),
        }
        streams = {name: made.connect("/v1/stream", query) for name, (query, _) in wanted.items()}
        for stream in streams.values():
            await stream.until(lambda one: bool(one.named("live")))
        await made.ledger.append("a", [Ticked(done=1)])
        await made.ledger.append("b", [Ticked(done=1)])
        await made.ledger.append("a", [Completed()])
        for name, (_, runs) in wanted.items():
            stream = streams[name]
            count = 2 * ("a" in runs) + ("b" in runs)
            await stream.until(lambda one, count=count: len(one.events) == count)  # type: ignore[misc]
            assert {frame.data["event"]["run_id"] for frame in stream.events} == runs, name
            assert {frame.data["run"]["run_id"] for frame in stream.named("snapshot")} == runs, name
            assert not stream.ended
            await stream.cut()


async def test_a_snapshot_on_a_stream_is_the_one_that_get_shows_also_of_a_run_with_children(
    tmp_path: Path,
) -> None:
    clock = Clock()
    clock.now = float(int(clock.now))
    async with hub(tmp_path / "a.db", clock=clock) as made:
        await made.begin("parent", total=10)
        await made.begin("child", total=1000, parent="parent")
        clock.now += 10
        await made.ledger.append("parent", [Ticked(done=9)])
        await made.ledger.append("child", [Ticked(done=10)])
        one, many = made.connect("parent"), made.connect("/v1/stream")
        for stream in (one, many):
            await stream.until(lambda one: len(one.frames) >= 3 or bool(one.named("snapshot")))
            shown = {frame.data["run"]["run_id"]: frame.data["run"] for frame in stream.named("snapshot")}
            assert shown["parent"] == await made.snapshot("parent")
            await stream.cut()


# ── passing trouble, silence, the stop ──────────────────────────────────────────────────────────────────


async def test_too_many_streams_are_told_to_come_back_with_200(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db", StreamSettings(max_streams=1)) as made:
        await made.begin("r")
        first = made.connect("r")
        await first.until(lambda one: len(one.frames) == 2)
        waits: set[int] = set()
        for path in ("r", "/v1/stream"):
            turned_away = await made.connect(path).finished()
            assert turned_away.status == 200
            assert turned_away.ended
            assert [(f.event, f.data) for f in turned_away.frames] == [
                ("busy", {"reason": "too_many_streams"})
            ]
            assert turned_away.frames[0].retry is not None
            waits.add(turned_away.frames[0].retry)
        await first.cut()
        second = made.connect("r")
        await second.until(lambda one: len(one.frames) == 2)
        await second.cut()


async def test_a_log_that_is_far_behind_makes_a_stream_busy_and_never_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub(tmp_path / "a.db", StreamSettings(patience=0.05)) as made:
        await made.begin("r")

        async def never() -> int:
            await asyncio.Event().wait()
            return 0

        monkeypatch.setattr(made.projector, "caught_up", never)
        for path in ("r", "/v1/stream"):
            asked = await made.connect(path).finished()
            assert asked.status == 200
            assert [(frame.event, frame.data) for frame in asked.frames] == [
                ("busy", {"reason": "not_ready"})
            ]


async def test_a_stream_that_begins_while_others_write_misses_nothing_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    async with hub(path) as made, Ledger.open(path, sweep=False, clock=made.clock) as other:
        await made.begin("r", total=100)
        early = late = made.connect("r")
        await early.until(lambda one: len(one.frames) == 2)
        for number in range(30):
            run_id = f"their-{number}"
            await other.create(RunSpec(kind="their"), run_id=run_id)
            await other.append(run_id, [Ticked(done=done) for done in range(1, 40)])
            await (made.ledger, other)[number % 2].append("r", [Ticked(done=number + 1)])
            seen = await made.snapshot("r")
            assert seen["done"] == number + 1
            if number == 15:
                late = made.connect("r")
                await late.until(lambda one: len(one.frames) >= 2)
                # All that was committed before it was asked for is in its snapshot.
                assert late.frames[1].data["run"]["done"] == 16
        for stream in (early, late):
            await stream.until(lambda one: _patched(one.frames).get("done") == 30)
            versions = [frame.data["event"]["version"] for frame in stream.frames if frame.event == "ticked"]
            assert versions == list(range(versions[0], 32))
            assert versions[0] == (2 if stream is early else 18)
            assert _patched(stream.frames)["version"] == 31
            await stream.cut()


async def test_silence_is_broken_by_single_colon_lines(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db", StreamSettings(keep_alive=0.05)) as made:
        await made.begin("r")
        stream = made.connect("r")
        await stream.until(lambda one: one.keep_alives >= 3)
        assert re.search(rb"\n\n(:\n){3}", stream.received)
        await made.ledger.append("r", [Ticked(done=1)])
        await stream.until(lambda one: bool(one.events))
        await stream.cut()


async def test_the_stop_says_when_to_come_back_and_ends_the_body_cleanly(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        streams = [made.connect("r") for _ in range(4)] + [made.connect("/v1/stream")]
        for stream in streams:
            await stream.until(lambda one: len(one.frames) >= 2)
        await made.ledger.append("r", [Ticked(done=1)])
        made.drain.begin()
        waits: set[int] = set()
        for stream in streams:
            await stream.finished()
            assert stream.ended
            assert _names(stream)[-2:] == ["ticked", "drain"]
            assert stream.frames[-1].id is None
            assert stream.frames[-1].retry is not None
            waits.add(stream.frames[-1].retry)
        assert len(waits) > 1
        late = await made.connect("r").finished()
        assert [frame.event for frame in late.frames] == ["busy"]


async def test_a_reader_that_goes_away_in_silence_is_noticed_and_nothing_is_kept_of_it(
    tmp_path: Path,
) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r")
        stream = made.connect("r")
        await stream.until(lambda one: len(one.frames) == 2)
        sends = stream.sends
        await stream.cut()
        assert stream.sends == sends
        again = made.connect("r", last_event_id=stream.cursor)
        await again.until(lambda one: bool(one.frames))
        assert again.frames[0].data["status"] == "resumed"
        await again.cut()


async def test_commits_of_another_process_reach_the_stream(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made, Ledger.open(tmp_path / "a.db") as other:
        await made.begin("r")
        stream = made.connect("r")
        await stream.until(lambda one: len(one.frames) == 2)
        await other.append("r", [Ticked(done=1)])
        await made.ledger.append("r", [Ticked(done=2)])
        await other.append("r", [Completed()])
        await stream.finished()
        assert [frame.data["event"]["version"] for frame in stream.events] == [2, 3, 4]


async def test_a_run_that_ends_while_its_stream_is_being_opened_still_sends_its_end(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        for number in range(20):
            run_id = f"r{number}"
            await made.begin(run_id)
            streams: list[Connection] = []

            async def opening(run_id: str = run_id, streams: list[Connection] = streams) -> None:
                for _ in range(6):
                    streams.append(made.connect(run_id))
                    await asyncio.sleep(0)

            await asyncio.gather(opening(), made.ledger.append(run_id, [Ticked(done=1), Completed()]))
            for stream in streams:
                await stream.finished()
                assert stream.frames[-1].event == "completed", stream.frames
                assert stream.frames[-1].data["final"] is True


async def test_a_stream_opened_in_the_middle_of_a_flood_misses_and_repeats_nothing(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made, Ledger.open(tmp_path / "a.db", durability="process") as other:
        await made.begin("r", total=3000)
        streams: list[Connection] = []

        async def opening() -> None:
            for _ in range(20):
                streams.append(made.connect("r"))
                streams.append(made.connect("/v1/stream"))
                await asyncio.sleep(0.002)

        async def flooding() -> None:
            for start in range(0, 3000, 100):
                await other.append("r", [Ticked(done=done) for done in range(start, start + 100)])
            await other.append("r", [Completed()])

        await asyncio.gather(opening(), flooding())
        for stream in streams:
            await stream.until(lambda one: one.received.count(b'"final":true') > 0 or bool(one.named("live")))
        for stream in streams[::2]:
            await stream.finished()
            _check_dense(stream)
        for stream in streams[1::2]:
            if stream.named("live")[0].data["runs"]:
                await stream.until(lambda one: b'"final":true' in one.received)
                _check_dense(stream)
            await stream.cut()


def _check_dense(stream: Connection) -> None:
    # Everything after what the snapshot showed, once, in order.
    snapshot = stream.named("snapshot")[0].data["run"]
    versions = [frame.data["event"]["version"] for frame in stream.events]
    if snapshot["finished_at"] is not None:
        assert versions == [snapshot["version"]]
    else:
        assert versions == list(range(snapshot["version"] + 1, 3003))


async def test_stalled_is_told_when_it_begins_and_when_it_ends_without_an_id(tmp_path: Path) -> None:
    clock = Clock()
    async with hub(tmp_path / "a.db", StreamSettings(keep_alive=0.2), clock) as made:
        await made.begin("r", stall_seconds=30.0)
        one, many, paced = (
            made.connect("r"),
            made.connect("/v1/stream"),
            made.connect("r", {"every": "100ms"}),
        )
        for stream in (one, many, paced):
            await stream.until(lambda one: len(one.frames) >= 2)
        clock.now += 31
        for stream in (one, many, paced):
            await stream.until(lambda one: bool(one.frames[-1].data.get("run", {}).get("stalled")))
            assert stream.frames[-1].event == "snapshot"
            assert stream.frames[-1].id is None
        await made.ledger.append("r", [Ticked(done=1)])
        for stream in (one, many):
            await stream.until(lambda one: bool(one.events))
            assert stream.events[0].data["run"]["stalled"] is False
            assert stream.events[0].id is not None
        await paced.until(lambda one: one.frames[-1].data["run"]["stalled"] is False)
        for stream in (one, many, paced):
            await stream.cut()


# ── conflation ──────────────────────────────────────────────────────────────────────────────────────────


async def test_every_sends_the_newest_state_once_and_with_an_id_when_nothing_is_withheld(
    tmp_path: Path,
) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r", total=1000)
        stream = made.connect("r", {"every": "100ms"})
        await stream.until(lambda one: len(one.frames) == 2)
        for done in range(1, 301):
            await made.ledger.append("r", [Ticked(done=done)])
        await stream.until(lambda one: one.frames[-1].data["run"]["done"] == 300)
        assert {frame.event for frame in stream.frames[1:]} == {"snapshot"}
        assert len(stream.frames) < 100
        for frame in stream.frames[1:]:
            assert frame.position == frame.data["run"]["position"]
        await stream.cut()


async def test_every_shows_stage_changes_and_the_end_at_once_and_nothing_after_them_is_lost(
    tmp_path: Path,
) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r", stages=[Stage(name="a"), Stage(name="b")])
        stream = made.connect("r", {"every": "60s"})
        await stream.until(lambda one: len(one.frames) == 2)
        await made.ledger.append("r", [Ticked(done=1), StageChanged(stage="a"), Ticked(done=2)])
        await stream.until(lambda one: bool(one.events))
        frame = stream.events[0]
        assert frame.event == "stage_changed"
        assert frame.data["run"]["stage"] == "a"
        assert frame.position == frame.data["event"]["position"]
        await made.ledger.append("r", [Ticked(done=7), Completed()])
        await stream.finished()
        assert _names(stream) == ["hello", "snapshot", "stage_changed", "completed"]
        assert stream.frames[-1].data["run"]["stages"][0]["done"] == 7
        assert (
            await made.connect("r", {"every": "60s"}, last_event_id=stream.cursor).finished()
        ).status == 204


async def test_a_tick_right_after_a_stage_change_is_shown_when_its_time_has_come(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("r", stages=[Stage(name="a")])
        stream = made.connect("r", {"every": "100ms"})
        await stream.until(lambda one: len(one.frames) == 2)
        await made.ledger.append("r", [StageChanged(stage="a"), Ticked(done=2)])
        await stream.until(lambda one: one.frames[-1].data["run"].get("done") == 2)
        assert _names(stream)[-1] == "snapshot"
        await stream.cut()


async def test_every_on_many_runs_gives_no_id_while_another_run_is_withheld(tmp_path: Path) -> None:
    async with hub(tmp_path / "a.db") as made:
        await made.begin("a", stages=[Stage(name="x")])
        await made.begin("b")
        stream = made.connect("/v1/stream", {"every": "60s"})
        await stream.until(lambda one: bool(one.named("live")))
        await made.ledger.append("b", [Ticked(done=1)])
        await made.ledger.append("a", [StageChanged(stage="x")])
        await stream.until(lambda one: bool(one.events))
        assert stream.events[0].id is None
        again = made.connect("/v1/stream", {"every": "60s"}, last_event_id=stream.cursor)
        await again.until(lambda one: len(one.frames) == 3)
        assert [frame.event for frame in again.frames] == ["hello", "snapshot", "snapshot"]
        assert {frame.data["run"]["run_id"] for frame in again.frames[1:]} == {"a", "b"}
        assert [frame.id for frame in again.frames[1:]] == [None, f"{made.ledger.epoch}-4"]
        for one in (stream, again):
            await one.cut()


async def test_a_conflated_resume_sends_one_snapshot_for_each_run_that_changed(tmp_path: Path) -> None:
    for restart in (False, True):
        path = tmp_path / f"{restart}.db"
        async with hub(path) as made:
            for run_id in ("a", "b", "c"):
                await made.begin(run_id)
            stream = made.connect("/v1/stream", {"every": "100ms"})
            await stream.until(lambda one: bool(one.named("live")))
            cursor = stream.cursor
            await stream.cut()
            for done in range(20):
                await made.ledger.append("a", [Ticked(done=done)])
            await made.ledger.append("b", [Ticked(done=1), Completed()])
            if not restart:
                await _expect_conflated(made, cursor)
        if restart:
            async with hub(path) as made:
                await _expect_conflated(made, cursor)


async def _expect_conflated(made: Hub, cursor: str | None) -> None:
    again = made.connect("/v1/stream", {"every": "100ms"}, last_event_id=cursor)
    await again.until(lambda one: len(one.frames) >= 3)
    hello, snapshot, end = again.frames[:3]
    assert hello.data["status"] == "resumed"
    assert snapshot.data["run"]["run_id"] == "a"
    assert snapshot.data["run"]["done"] == 19
    assert end.event == "completed"
    assert end.data["final"] is True
    await again.cut()
