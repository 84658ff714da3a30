"""Frames are whole or not there, and a cut stream goes on where it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.api.console import sse_client
from progress_ledger.api.console.client import ConnectionLost, Refused, Reply
from progress_ledger.api.console.sse_client import Cursor, Frame, Frames, follow

pytestmark = pytest.mark.anyio

BODY = (
    b'retry: 1500\nevent: hello\ndata: {"status":"new"}\n\n'
    b":\n"
    b'event: snapshot\ndata: {"run":{}}\nid: e-1\n\n'
    b'event: ticked\ndata: {"n":1}\nid: e-2\n\n'
    b'data: {"a":\ndata: 1}\n\n'
    b'event: completed\ndata: {"final":true}\nid: e-3\n\n'
)

FRAMES = [
    Frame("hello", {"status": "new"}, None),
    Frame("snapshot", {"run": {}}, "e-1"),
    Frame("ticked", {"n": 1}, "e-2"),
    Frame("message", {"a": 1}, None),
    Frame("completed", {"final": True}, "e-3"),
]


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_frames_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    cursor = Cursor()
    frames = Frames(cursor)
    places = sorted({0, *cuts, len(BODY)})
    found = [frame for start, end in pairwise(places) for frame in frames.feed(BODY[start:end])]
    assert found == FRAMES
    assert (cursor.last_event_id, cursor.retry_seconds) == ("e-3", 1.5)
    assert [frame.final for frame in found] == [False] * 4 + [True]


def test_a_frame_that_is_cut_moves_nobodys_cursor() -> None:
    end = BODY.index(b"id: e-3") + len(b"id: e-3\n")
    cursor = Cursor("e-0")
    assert list(Frames(cursor).feed(BODY[:end])) == FRAMES[:4]
    assert cursor.last_event_id == "e-2"


class _Script:
    """A server that gives these bodies one after another; an exception is what the connection ends with."""

    def __init__(self, *answers: tuple[int, bytes, bool]) -> None:
        self._answers = list(answers)
        self.asked: list[str | None] = []

    @asynccontextmanager
    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Reply]:
        self.asked.append((headers or {}).get("Last-Event-ID"))
        if not self._answers:
            raise ConnectionLost("nobody there")
        status, body, whole = self._answers.pop(0)

        async def parts() -> AsyncIterator[bytes]:
            yield body
            if not whole:
                raise ConnectionLost("cut")

        yield Reply(status, {}, parts())


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(anyio, "sleep", sleep)
    return slept


async def test_following_goes_on_from_the_last_whole_frame(at_once: list[float]) -> None:
    cut = BODY.index(b"id: e-2")
    rest = BODY[BODY.index(b"event: ticked") :]
    script = _Script((200, BODY[:cut], False), (200, rest, True))
    shown: list[Frame] = []

    def show(frame: Frame) -> bool:
        shown.append(frame)
        return not frame.final

    lost: list[str] = []
    await follow(script, "/x", show, lost=lambda reason, seconds: lost.append(reason))
    assert shown == FRAMES
    assert script.asked == [None, "e-1"]
    assert lost == ["cut"]
    assert 1.0 < at_once[0] < 2.0


async def test_following_ends_when_nothing_more_will_come(at_once: list[float]) -> None:
    script = _Script((200, BODY[: BODY.index(b"event: completed")], True), (204, b"", True))
    shown: list[Frame] = []

    def show(frame: Frame) -> bool:
        shown.append(frame)
        return True

    await follow(script, "/x", show)
    assert shown == FRAMES[:4]
    assert script.asked == [None, "e-2"]


async def test_pauses_grow_while_nobody_is_there(at_once: list[float]) -> None:
    script = _Script((200, b"retry: 1000\n", True))
    reached: list[float] = []

    def lost(reason: str, seconds: float) -> None:
        reached.append(seconds)
        if len(reached) == 8:
            raise LookupError

    with pytest.raises(LookupError):
        await follow(script, "/x", lambda frame: True, lost=lost)
    assert reached[0] < 2 < reached[2] < 8
    assert max(reached) <= 30 * 1.25


async def test_a_server_that_was_never_there_is_told_at_once() -> None:
    with pytest.raises(ConnectionLost, match="nobody there"):
        await follow(_Script(), "/x", lambda frame: True)


async def test_a_refusal_is_raised_as_what_it_is() -> None:
    problem = b'{"code":"run_not_found","detail":"There is no run."}'
    with pytest.raises(Refused, match="There is no run") as refused:
        await follow(_Script((404, problem, True)), "/x", lambda frame: True)
    assert (refused.value.status, refused.value.code) == (404, "run_not_found")


async def test_a_server_that_falls_silent_is_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_client, "SILENCE_SECONDS", 0.01)

    class Silent(_Script):
        @asynccontextmanager
        async def request(
            self, method: str, target: str, *, headers: Mapping[str, str] | None = None
        ) -> AsyncIterator[Reply]:
            async def parts() -> AsyncIterator[bytes]:
                yield b":\n"
                await anyio.sleep_forever()

            yield Reply(200, {}, parts())

    async def read() -> None:
        async with sse_client.stream(Silent(), "/x", Cursor()) as frames:
            assert frames is not None
            async for _ in frames:
                pass

    with pytest.raises(ConnectionLost, match="silent"):
        await read()
