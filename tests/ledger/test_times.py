"""Times are one width and one zone, so that they compare as text."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.ledger.times import format_time, normalise_time, parse_time, seconds_between

_FIRST, _LAST = datetime(1970, 1, 2), datetime(2200, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
MOMENTS = st.datetimes(_FIRST, _LAST, timezones=st.just(UTC))


@given(moment=MOMENTS)
def test_a_time_comes_back_to_the_microsecond(moment: datetime) -> None:
    text = format_time(moment.timestamp())
    assert len(text) == 27
    assert abs(parse_time(text) - moment.timestamp()) <= 1e-6
    assert normalise_time(text) == text


@given(one=MOMENTS, other=MOMENTS)
def test_times_compare_as_text_as_they_compare_in_time(one: datetime, other: datetime) -> None:
    first, second = (normalise_time(each.isoformat()) for each in (one, other))
    assert (first < second) == (one < other)
    assert seconds_between(first, second) == pytest.approx(max(0.0, (other - one).total_seconds()), abs=1e-5)


@given(moment=MOMENTS, minutes=st.integers(-14 * 60, 14 * 60))
def test_any_zone_becomes_utc(moment: datetime, minutes: int) -> None:
    sign, span = ("-" if minutes < 0 else "+"), timedelta(minutes=abs(minutes))
    local = moment.replace(tzinfo=None) + (span if minutes >= 0 else -span)
    text = f"{local.isoformat(timespec='microseconds')}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    assert normalise_time(text) == moment.isoformat(timespec="microseconds")[:26] + "Z"


@pytest.mark.parametrize(
    ("given_as", "normal"),
    [
        ("2026-11-21T23:34:40Z", "2026-11-21T23:34:40.000000Z"),
        ("2026-11-21t23:34:40.5z", "2026-11-21T23:34:40.500000Z"),
        ("2026-11-21T23:34:40.123456789Z", "2026-11-21T23:34:40.123456Z"),
        ("2026-11-22T01:04:40+01:30", "2026-11-21T23:34:40.000000Z"),
    ],
)
def test_what_rfc_3339_allows_is_taken(given_as: str, normal: str) -> None:
    assert normalise_time(given_as) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-21",
        "2026-11-21 23:34:40Z",
        "2026-11-21T23:34:40",
        "20261121T233440Z",
        "2026-W47-6T23:34:40Z",
        "2026-11-21T23:34Z",
        "2026-13-21T23:34:40Z",
        "2026-11-21T25:34:40Z",
        "2026-11-21T23:34:40+99:00",
        "0001-01-01T00:00:00+01:00",
        "\uff19\uff19\uff19\uff19-11-21T23:34:40Z",
        "2026-11-21T23:34:40Z\n",
        "2026-11-21T23:34:40." + "1" * 5000 + "Z",
        "1795304080",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        normalise_time(text)


def test_a_time_without_a_zone_is_not_parsed() -> None:
    with pytest.raises(ValueError):
        parse_time("2026-11-21T23:34:40")
