"""Stored events read as ticks: all that decode() finds in one, and nothing taken for one that is none."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.ledger.codec import decode, encode_data, stored_form
from progress_ledger.ledger.events import PAYLOADS, Completed, Ticked
from progress_ledger.ledger.tick_line import read_tick

TIME = "2026-11-21T23:34:40.123456Z"
COUNTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 2**63 - 1), max_size=3)


@given(
    st.one_of(st.none(), st.integers(0, 2**63 - 1)),
    st.one_of(st.none(), COUNTS),
    st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)),
    st.sampled_from([None, TIME]),
    st.sampled_from([None, "an id"]),
)
def test_a_tick_is_read_as_decode_reads_it(
    done: int | None,
    counts: dict[str, int] | None,
    message: str | None,
    occurred_at: str | None,
    event_id: str | None,
) -> None:
    tick = Ticked(done=done, counts=counts, message=message, occurred_at=occurred_at)
    body = stored_form("r", 7, TIME, "ticked", encode_data(tick), event_id).encode()
    line, event = read_tick(body), decode(body, 1)
    assert (line.type, line.v) == ("ticked", 1)
    assert (line.run_id, line.version, line.time, line.data) == (
        event.run_id,
        event.version,
        event.time,
        event.data,
    )


def test_no_other_event_is_taken_for_a_tick() -> None:
    for name in PAYLOADS.keys() - {"ticked"}:
        assert read_tick(stored_form("r", 1, TIME, name, "{}", None).encode()).type == name
    odd = stored_form("r", 1, TIME, "completed", encode_data(Completed(result={"done": "x"})), None)
    assert read_tick(odd.encode()).type == "completed"


@pytest.mark.parametrize("data", ['{"done":-1}', '{"done":"3"}', '{"counts":{"":1},"done":1}', "7"])
def test_what_decode_would_not_take_for_a_tick_is_refused(data: str) -> None:
    body = stored_form("r", 1, TIME, "ticked", data, None).encode()
    assert decode(body, 1).data.type == "unknown"
    with pytest.raises(msgspec.ValidationError):
        read_tick(body)


def test_a_newer_schema_shows() -> None:
    body = stored_form("r", 1, TIME, "ticked", '{"done":1}', None)[:-1] + ',"v":2}'
    assert read_tick(body.encode()).v == 2
