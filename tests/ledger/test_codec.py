"""Stored bytes: what is written once, hashed, and read by every later release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.ledger import codec
from progress_ledger.ledger.door import draft_event
from progress_ledger.ledger.events import (
    MAX_DATA_BYTES,
    MAX_LEAF_BYTES,
    PAYLOADS,
    Completed,
    Noted,
    Payload,
    RunSpec,
    Started,
    Ticked,
    Unknown,
)
from progress_ledger.ledger.log import Append
from progress_ledger.ledger.memory import MemoryLog
from tests.ledger.samples import ENDS, JSON, PAYLOAD, RUN_ID, STORY

GOLDEN = Path(__file__).with_name("golden")
AT = "2026-11-21T23:34:40.123456Z"
EVENT_ID = st.none() | st.text(min_size=1, max_size=20).filter(str.isprintable)


def _stored(payload: Payload, *, run_id: str = "r", version: int = 1, event_id: str | None = None) -> bytes:
    data = codec.encode_data(payload)
    return codec.stored_form(run_id, version, AT, payload.type, data, event_id).encode("ascii")


@given(payload=PAYLOAD, run_id=RUN_ID, version=st.integers(1, 2**62), event_id=EVENT_ID)
def test_an_event_reads_back_as_it_was_written(
    payload: Payload, run_id: str, version: int, event_id: str | None
) -> None:
    body = _stored(payload, run_id=run_id, version=version, event_id=event_id)
    event = codec.decode(body, 7)
    assert (event.run_id, event.version, event.time, event.position) == (run_id, version, AT, 7)
    assert (event.type, event.data, event.event_id) == (payload.type, payload, event_id)
    assert event == codec.event_of(payload.type, run_id, version, AT, payload, event_id, 7)


@given(payload=PAYLOAD, event_id=EVENT_ID)
def test_stored_bytes_are_one_line_of_ascii_json(payload: Payload, event_id: str | None) -> None:
    body = _stored(payload, event_id=event_id)
    assert all(0x20 <= byte < 0x7F or byte == 0x7F for byte in body)
    parsed = json.loads(body)
    assert list(parsed) == ["run_id", "version", "time", "type", "data"] + ["event_id"] * (
        event_id is not None
    )
    assert msgspec.json.decode(codec.data_of(body)) == parsed["data"]


@given(payload=PAYLOAD, position=st.integers(1, 2**63 - 1))
def test_the_wire_form_is_the_stored_bytes_with_the_position_in_front(
    payload: Payload, position: int
) -> None:
    body = _stored(payload)
    wire = codec.wire_form(position, body)
    assert json.loads(wire) == {"position": position, **json.loads(body)}
    assert next(iter(json.loads(wire))) == "position"
    assert wire.endswith(body[1:])


@given(value=JSON)
def test_ascii_json_says_the_same_as_json(value: Any) -> None:
    encoded = codec.ascii_json(value)
    assert encoded.isascii()
    assert msgspec.json.decode(encoded) == msgspec.json.decode(msgspec.json.encode(value))


@given(value=JSON)
def test_the_canonical_form_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    def turned(each: Any) -> Any:
        if isinstance(each, dict):
            return {key: turned(each[key]) for key in reversed(each)}
        return [turned(inner) for inner in each] if isinstance(each, list) else each

    one, other = codec.ascii_json(value), codec.ascii_json(turned(value))
    assert codec.canonical(one) == codec.canonical(other)


def test_true_is_not_one_in_the_canonical_form() -> None:
    assert codec.canonical(b'{"a":true}') != codec.canonical(b'{"a":1}')
    assert codec.canonical(b'{"a":1.0}') != codec.canonical(b'{"a":1}')


@pytest.mark.parametrize("text", ["a\0b", "\0", "\\\0", 'x"\0'])
def test_a_nul_character_is_not_stored(text: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        codec.encode_data(Noted(message=text))
    with pytest.raises(ValueError, match="NUL"):
        codec.encode_data(Completed(result=[{text: 1}]))


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "a\\u0000b \\n"])
def test_a_backslash_that_looks_like_nul_is_stored(text: str) -> None:
    body = _stored(Noted(message=text))
    assert codec.decode(body, 1).data == Noted(message=text)


def test_a_lone_surrogate_is_not_stored() -> None:
    with pytest.raises(UnicodeEncodeError):
        codec.encode_data(Noted(message="a\ud800"))


def test_the_largest_event_fits_into_a_leaf() -> None:
    data = "x" * (MAX_DATA_BYTES - len(codec.encode_data(Noted(message=""))))
    draft = draft_event(Noted(message=data), event_id="🙂" * 128)
    assert len(draft.data) == MAX_DATA_BYTES
    body = codec.stored_form("r" * 128, 2**63 - 1, AT, draft.type, draft.data, draft.event_id)
    assert len(body) <= MAX_LEAF_BYTES
    spec = codec.encode_data(RunSpec(kind="k", attempt=2**63 - 1))
    assert len(spec) - len(codec.encode_data(RunSpec(kind="k"))) + len(body) <= MAX_LEAF_BYTES


# ── newer and older releases ────────────────────────────────────────────────────────────────────────────


def test_a_field_that_nobody_knows_yet_is_passed_over() -> None:
    body = (
        b'{"run_id":"r","version":2,"time":"%b","type":"ticked","data":{"done":1,"mood":"good"},"more":[1]}'
    )
    event = codec.decode(body % AT.encode(), 5)
    assert event.data == Ticked(done=1)
    assert codec.data_of(body % AT.encode()) == b'{"done":1,"mood":"good"}'


@pytest.mark.parametrize(
    "rest",
    [
        '"type":"exploded","data":{"debris":3}',
        '"type":"exploded","data":[1]',
        '"type":"ticked","v":2,"data":{"steps":5}',
        '"type":"ticked","v":9,"data":{"done":5}',
        '"type":"ticked","data":{"done":"five"}',
        '"type":"noted","data":{}',
    ],
)
def test_what_this_release_cannot_read_is_unknown_and_not_an_error(rest: str) -> None:
    body = f'{{"run_id":"r","version":2,"time":"{AT}",{rest},"event_id":"e"}}'.encode()
    event = codec.decode(body, 5)
    assert isinstance(event.data, Unknown)
    assert event.type == json.loads(body)["type"]
    assert (event.run_id, event.version, event.time, event.position, event.event_id) == ("r", 2, AT, 5, "e")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"type":"ticked"}', b'{"run_id":1}'])
def test_what_is_no_event_at_all_is_an_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        codec.decode(body, 1)


def test_upcasters_lift_old_events_step_by_step_and_leave_new_ones() -> None:
    def one(raw: dict[str, Any]) -> dict[str, Any]:
        return raw | {"v": 2, "data": {"steps": raw["data"]["count"]}}

    def two(raw: dict[str, Any]) -> dict[str, Any]:
        return raw | {"v": 3, "data": {"done": raw["data"]["steps"]}}

    steps = {("ticked", 1): one, ("ticked", 2): two}

    def read(rest: str) -> Payload:
        body = f'{{"run_id":"r","version":2,"time":"{AT}","type":"ticked",{rest}}}'.encode()
        event = codec.decode(body, 5, upcasters=steps)
        assert event.position == 5
        return event.data

    assert read('"data":{"count":4}') == Ticked(done=4)
    assert read('"data":{"count":4},"v":1') == Ticked(done=4)
    assert read('"data":{"steps":4},"v":2') == Ticked(done=4)
    assert read('"data":{"done":4},"v":3') == Ticked(done=4)
    assert isinstance(read('"data":{"done":4},"v":4'), Unknown)
    assert isinstance(read('"data":{"other":4}'), Unknown)
    other = _stored(Noted(message="m"))
    assert codec.decode(other, 1, upcasters=steps).data == Noted(message="m")
    exploded = other.replace(b"noted", b"exploded")
    assert isinstance(codec.decode(exploded, 1, upcasters=steps).data, Unknown)


# ── golden files ────────────────────────────────────────────────────────────────────────────────────────


def _story() -> list[bytes]:
    async def write() -> list[bytes]:
        log = MemoryLog()
        drafts = [draft_event(payload, event_id=event_id) for payload, event_id in STORY]
        requests = [Append(run_id="qa-7", drafts=drafts)]
        for number, end in enumerate(ENDS):
            first = draft_event(Started(kind="k"))
            requests.append(Append(run_id=f"end-{number}", drafts=[first, draft_event(end)]))
        for number, request in enumerate(requests):
            (outcome,) = (await log.commit([request], now=1_795_300_000.123456 + number)).outcomes
            assert not isinstance(outcome, Exception), outcome
        return [body for _, body in await log.read(0, limit=1000) if body is not None]

    return anyio.run(write)


def test_this_release_writes_the_very_bytes_that_the_first_one_wrote() -> None:
    assert _story() == (GOLDEN / "events.ndjson").read_bytes().splitlines()


def test_the_golden_events_have_every_type_and_read_as_they_were_meant() -> None:
    lines = (GOLDEN / "events.ndjson").read_bytes().splitlines()
    events = [codec.decode(body, number) for number, body in enumerate(lines, 1)]
    assert {event.type for event in events} == set(PAYLOADS)
    for event, (payload, event_id) in zip(events, STORY, strict=False):
        drafted = draft_event(payload).payload
        if isinstance(drafted, RunSpec) and drafted.retry_of is not None:
            drafted = msgspec.structs.replace(drafted, attempt=2)
        assert (event.data, event.event_id) == (drafted, event_id)
