"""Tried again ever more slowly, spoken of once a minute."""

from __future__ import annotations

from progress_ledger.ledger.errors import Unavailable
from progress_ledger.ledger.producers.outage import LOG_SECONDS, RETRY_SECONDS, Outage


def test_the_waits_grow_and_then_stay() -> None:
    outage = Outage()
    waits: list[float] = []
    for _ in range(len(RETRY_SECONDS) + 2):
        outage.fail(Unavailable("x"), 100.0)
        waits.append(outage.wait(100.0))
    assert waits == [*RETRY_SECONDS, RETRY_SECONDS[-1], RETRY_SECONDS[-1]]
    assert outage.failures == len(waits)


def test_one_success_ends_it() -> None:
    outage = Outage()
    assert not outage.over()
    outage.fail(Unavailable("x"), 0.0)
    assert outage.over()
    assert (outage.error, outage.wait(0.0)) == (None, 0.0)


def test_it_is_spoken_of_once_a_minute() -> None:
    outage = Outage()
    assert [outage.may_speak(at) for at in (0.0, 1.0, LOG_SECONDS - 1, LOG_SECONDS, LOG_SECONDS + 1)] == [
        True,
        False,
        False,
        True,
        False,
    ]
