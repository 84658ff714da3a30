"""Notices are signed as Standard Webhooks say, and tried again ever more slowly."""

from __future__ import annotations

import msgspec
import pytest

from progress_ledger.api.webhook import (
    NOTICES,
    Webhook,
    fits_webhook,
    key_of,
    notice_of,
    retry_delay,
    signed_headers,
    stall_notices,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_that_of_the_published_example() -> None:
    headers = signed_headers(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_prefix_of_a_secret_may_be_left_out() -> None:
    assert key_of(SECRET) == key_of(SECRET.removeprefix("whsec_"))


@pytest.mark.parametrize(
    ("url", "secret"),
    [("https://", SECRET), ("https://user@h/", SECRET), ("ftp://h", SECRET), ("https://h", "whsec_c2hvcnQ=")],
)
def test_a_webhook_that_cannot_work_is_refused_when_it_is_read(url: str, secret: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": url, "secret": secret}, Webhook)


def test_only_what_it_asked_for_fits() -> None:
    webhook = Webhook(url="https://h", secret=SECRET, events=("failed",), kinds="backup*")
    assert fits_webhook(webhook, "failed", "backup-db")
    assert not fits_webhook(webhook, "completed", "backup-db")
    assert not fits_webhook(webhook, "failed", "other")


def test_events_become_notices_and_ticks_do_not() -> None:
    assert [notice_of(name) for name in ("started", "ticked", "failed", "noted")] == [
        "started",
        None,
        "failed",
        None,
    ]
    assert {"stalled", "recovered"} < set(NOTICES)


def test_stalls_are_told_once_and_their_end_once() -> None:
    assert stall_notices([], {"a", "b"}, {"a", "b", "c"}) == [("a", "stalled"), ("b", "stalled")]
    assert stall_notices(["a", "b"], {"a", "b"}, {"a", "b"}) == []
    assert stall_notices(["a", "b"], {"b"}, {"a", "b"}) == [("a", "recovered")]
    assert stall_notices(["a"], set(), set()) == []


def test_waits_double_up_to_five_minutes_and_are_spread() -> None:
    assert [retry_delay(attempt, 0.5) for attempt in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert retry_delay(1_000, 1.0) == 375.0
    assert retry_delay(1, 0.0) < retry_delay(1, 1.0)
