"""Buckets: a burst at once, a rate in the long run, whatever the clock does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.api.access.limits import Accounts, Bucket, Limits, Rate, address_key


def test_a_burst_is_granted_and_then_the_rate() -> None:
    bucket = Bucket(Rate(2.0, 10.0), 0.0)
    assert [bucket.take(1, 0.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(1, 0.0) == 0.5
    assert bucket.take(1, 0.5) == 0.0
    assert bucket.take(1, 0.5) == 0.5


def test_what_is_refused_takes_nothing() -> None:
    bucket = Bucket(Rate(1.0, 2.0), 0.0)
    bucket.take(2, 0.0)
    for _ in range(5):
        assert bucket.take(2, 0.0) == 2.0


def test_what_is_larger_than_the_burst_is_granted_by_a_full_bucket_and_paid_off() -> None:
    bucket = Bucket(Rate(1.0, 2.0), 0.0)
    assert bucket.take(10, 0.0) == 0.0
    assert bucket.take(1, 0.0) == 9.0


def test_a_charge_may_owe_and_says_for_how_long() -> None:
    bucket = Bucket(Rate(10.0, 20.0), 0.0)
    assert bucket.charge(20, 0.0) == 0.0
    assert bucket.charge(5, 0.0) == 0.5
    assert bucket.take(1, 0.5) == 0.1


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), max_size=60))
def test_never_more_than_the_burst_and_the_rate_times_the_time(steps: list[tuple[float, float]]) -> None:
    rate = Rate(3.0, 7.0)
    bucket, now, granted = Bucket(rate, 0.0), 0.0, 0.0
    for later, cost in steps:
        now += later
        if bucket.take(cost, now) == 0.0:
            granted += cost
    assert granted <= rate.burst + rate.per_second * now + 1e-6


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing() -> None:
    bucket = Bucket(Rate(1.0, 1.0), 100.0)
    assert bucket.take(1, 100.0) == 0.0
    assert bucket.take(1, 50.0) == 1.0
    assert bucket.take(1, 101.0) == 0.0


def test_callers_are_forgotten_beyond_the_most_but_not_those_with_streams() -> None:
    accounts = Accounts(Limits(), most=10)
    accounts.of("watcher", 0.0).streams = 1
    for number in range(1_000):
        accounts.of(number, 0.0)
    assert len(accounts) == 10
    assert accounts.of("watcher", 0.0).streams == 1


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("testclient", None),
        ("", None),
    ],
)
def test_an_address_counts_as_its_subscriber(address: str, key: str | None) -> None:
    assert address_key(address) == key
