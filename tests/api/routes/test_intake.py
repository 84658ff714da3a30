"""An event as sent becomes one that may be stored, or an error that names it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from progress_ledger.api.routes.intake import MAX_EVENTS, EventIn, LineIn, drafts_of
from progress_ledger.ledger.errors import InvalidEvent, Malformed, TooLarge


def test_an_event_without_data_has_none() -> None:
    assert EventIn(type="heartbeat").draft().data == "{}"


def test_the_producers_clock_is_moved_into_the_data() -> None:
    event = EventIn(type="ticked", data=Raw(b'{"advance":1}'), occurred_at="2026-01-02T03:04:05Z")
    assert event.draft().data == '{"occurred_at":"2026-01-02T03:04:05.000000Z","advance":1}'


def test_data_that_is_no_object_is_refused_also_beside_a_clock() -> None:
    with pytest.raises(InvalidEvent):
        EventIn(type="ticked", data=Raw(b"[]"), occurred_at="2026-01-02T03:04:05Z").draft()


def test_errors_name_the_event_by_its_place() -> None:
    good = EventIn(type="heartbeat")
    with pytest.raises(InvalidEvent, match=r"^events\[1\]: .*advance") as refused:
        drafts_of([good, EventIn(type="ticked", data=Raw(b'{"advance":"x"}'))])
    assert refused.value.field == "events[1].data.advance"
    with pytest.raises(TooLarge, match=r"^events\[0\]"):
        drafts_of([EventIn(type="noted", data=Raw(b'{"message":"' + b"x" * 70_000 + b'"}'))])
    with pytest.raises(Malformed, match=r"^events\[0\]"):
        drafts_of([EventIn(type="noted", data=Raw(b'{"message":"\xff"}'))])


def test_a_request_holds_so_many_events() -> None:
    with pytest.raises(TooLarge, match="10001 events"):
        drafts_of([EventIn(type="heartbeat")] * (MAX_EVENTS + 1))


def test_a_line_names_its_run() -> None:
    line = msgspec.json.decode(b'{"run_id":"r","type":"heartbeat"}', type=LineIn)
    assert (line.run_id, line.draft().type) == ("r", "heartbeat")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"type":"heartbeat"}', type=LineIn)


@pytest.mark.parametrize(
    "data", [b'{"\xff":1}', b'{"a":"\xff"}', b'{"\\ud800":1}', b"[" * 9_000 + b"]" * 9_000]
)
def test_data_that_cannot_be_read_is_refused_also_beside_a_clock(data: bytes) -> None:
    with pytest.raises((InvalidEvent, Malformed)):
        EventIn(type="ticked", data=Raw(data), occurred_at="2026-01-02T03:04:05Z").draft()
