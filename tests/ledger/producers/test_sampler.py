"""Looking is often enough at first, and then on time."""

from __future__ import annotations

from progress_ledger.ledger.producers.sampler import Sampler


def test_what_is_new_is_told_once() -> None:
    at = [0]
    sampler = Sampler(lambda: at[0], 1.0)
    assert sampler.look(0.0) == 0
    at[0] = 7
    assert [sampler.look(0.1), sampler.look(0.2)] == [7, 0]


def test_it_looks_sooner_until_something_is_seen() -> None:
    at = [0]
    sampler = Sampler(lambda: at[0], 1.0)
    sampler.look(10.0)
    assert sampler.wait(10.0) < 0.5
    at[0] = 1
    sampler.look(11.0)
    assert sampler.wait(11.0) == 1.0
