"""How a body ended is how its run ends."""

from __future__ import annotations

import asyncio

import pytest

from progress_ledger.ledger.errors import RunCancelled
from progress_ledger.ledger.events import Cancelled, Completed, Failed, Interrupted, Payload
from progress_ledger.ledger.producers.ending import LEFT_EARLY, describe, how_it_ended


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, Completed()),
        (SystemExit(0), Completed()),
        (SystemExit(None), Completed()),
        (SystemExit(3), Failed(error="SystemExit: 3")),
        (ValueError("why"), Failed(error="ValueError: why")),
        (ValueError(), Failed(error="ValueError")),
        (asyncio.CancelledError(), Cancelled()),
        (KeyboardInterrupt(), Cancelled(reason="interrupted from the keyboard")),
        (GeneratorExit(), Interrupted(reason=LEFT_EARLY)),
        (RunCancelled("r", "enough"), Cancelled(reason="enough")),
    ],
    ids=repr,
)
def test_the_end(error: BaseException | None, expected: Payload) -> None:
    assert how_it_ended(error, reason="enough") == expected


def test_whoever_saw_the_request_and_left_is_cancelled() -> None:
    assert how_it_ended(None, asked=True) == Cancelled(reason="asked to stop")
    assert how_it_ended(None, asked=True, reason="why") == Cancelled(reason="why")


@pytest.mark.acceptance("E10")
def test_the_text_of_an_error_is_cut() -> None:
    assert len(describe(ValueError("x" * 10_000))) == 4_000


def test_an_error_that_cannot_say_what_it_is_goes_by_its_name() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert how_it_ended(Mute()) == Failed(error="Mute: <Mute>")
