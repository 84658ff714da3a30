"""One snapshot serves all who ask within a moment, and never anybody after a newer event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec
import pytest
from starlette.types import Message

from progress_ledger.api.access.rights import EVERYTHING, Access
from progress_ledger.api.answers import FRESH_SECONDS, Answer, Answers
from progress_ledger.api.drain import Drain
from progress_ledger.api.service import Service
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that is set by hand."""

    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def service(tmp_path: Path, clock: Clock) -> AsyncIterator[Service]:
    async with (
        Ledger.open(tmp_path / "progress.db", clock=clock) as ledger,
        Projector.open(ledger) as projector,
    ):
        await ledger.create(RunSpec(kind="job", total=10), run_id="r")
        yield Service(ledger, projector, Drain())


async def test_who_asks_within_a_moment_gets_the_same_bytes(service: Service, clock: Clock) -> None:
    answers = Answers(service)
    first = await answers.of("r", EVERYTHING)
    clock.now += FRESH_SECONDS / 2
    assert await answers.of("r", EVERYTHING) is first
    clock.now += FRESH_SECONDS
    later = await answers.of("r", EVERYTHING)
    assert first is not None
    assert later is not None
    assert later is not first
    assert later.tag == first.tag


async def test_a_clock_that_steps_back_keeps_nothing(service: Service, clock: Clock) -> None:
    answers = Answers(service)
    first = await answers.of("r", EVERYTHING)
    clock.now -= 0.001
    assert await answers.of("r", EVERYTHING) is not first


async def test_an_event_is_seen_at_once_whoever_wrote_it(
    service: Service, clock: Clock, tmp_path: Path
) -> None:
    answers = Answers(service)
    await answers.of("r", EVERYTHING)
    await service.ledger.append("r", [Ticked(done=4)])
    assert _done(await answers.of("r", EVERYTHING)) == 4
    async with Ledger.open(tmp_path / "progress.db", sweep=False, clock=clock) as another:
        await another.append("r", [Ticked(done=7)])
    assert _done(await answers.of("r", EVERYTHING)) == 7


async def test_readers_who_are_here_at_one_time_share_a_look_and_who_comes_later_does_not(
    service: Service, tmp_path: Path
) -> None:
    answers = Answers(service)
    looks = 0
    glance = service.ledger.log.glance

    def counted() -> int | None:
        nonlocal looks
        looks += 1
        return glance()

    service.ledger.log.glance = counted  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(answers.of, "r", EVERYTHING)
    assert looks == 1
    async with Ledger.open(tmp_path / "progress.db", sweep=False) as another:
        for done in range(1, 30):
            await another.append("r", [Ticked(done=done)])
            assert _done(await answers.of("r", EVERYTHING)) == done


async def test_a_look_that_took_a_while_is_not_shared_with_who_came_meanwhile(
    service: Service, tmp_path: Path
) -> None:
    answers = Answers(service)
    log = service.ledger.log
    real, go, looked = log.head, asyncio.Event(), asyncio.Event()

    async def head_of_before() -> int:
        found = await real()
        if not go.is_set():
            looked.set()
            await go.wait()
        return found

    log.glance = lambda: None  # type: ignore[method-assign]
    log.head = head_of_before  # type: ignore[method-assign]
    async with (
        Ledger.open(tmp_path / "progress.db", sweep=False) as another,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(answers.of, "r", EVERYTHING)
        await looked.wait()
        await another.append("r", [Ticked(done=3)])
        go.set()
        assert _done(await answers.of("r", EVERYTHING)) == 3


async def test_a_parents_answer_is_made_anew_when_its_child_moves_on(service: Service, clock: Clock) -> None:
    answers = Answers(service)
    await service.ledger.create(RunSpec(kind="part", total=10, parent="r"), run_id="child")
    first = await answers.of("r", EVERYTHING)
    await service.ledger.append("child", [Ticked(done=1)])
    assert await answers.of("r", EVERYTHING) is not first


async def test_an_ended_run_an_unknown_one_and_a_foreign_kind_have_no_answer(service: Service) -> None:
    answers = Answers(service)
    assert await answers.of("nobody", EVERYTHING) is None
    assert await answers.of("r", EVERYTHING) is not None
    # Also when it is kept for somebody else.
    assert await answers.of("r", Access(role="reader", kinds="other")) is None
    await service.ledger.append("r", [Completed()])
    assert await answers.of("r", EVERYTHING) is None


async def test_who_has_it_already_gets_no_body(service: Service) -> None:
    answer = await Answers(service).of("r", EVERYTHING)
    assert answer is not None
    assert [one["status"] for one in await _sent(answer, answer.tag) if "status" in one] == [304]
    assert b"".join(one.get("body", b"") for one in await _sent(answer, answer.tag)) == b""
    whole = await _sent(answer, None)
    assert whole[0]["status"] == 200
    assert whole[1]["body"] == answer.body


async def test_headers_that_a_layer_adds_stay_with_one_response(service: Service) -> None:
    answer = await Answers(service).of("r", EVERYTHING)
    assert answer is not None
    start, _ = await _sent(answer, None)
    start["headers"].append((b"vary", b"origin"))
    again, _ = await _sent(answer, None)
    assert (b"vary", b"origin") not in again["headers"]


async def _sent(answer: Answer, if_none_match: str | None) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await answer.send(send, if_none_match)
    return messages


def _done(answer: Answer | None) -> int:
    assert answer is not None
    return int(msgspec.json.decode(answer.body)["done"])
