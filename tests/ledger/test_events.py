"""The event types: their names, what they hold, and what is left out when it is not given."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from progress_ledger.ledger import events
from progress_ledger.ledger.events import (
    ACTIVE,
    PAYLOADS,
    TERMINAL,
    Event,
    Payload,
    Queued,
    RunSpec,
    Started,
    Ticked,
    TotalChanged,
    Unknown,
)


def test_every_type_goes_by_its_own_name() -> None:
    assert {name: payload.type for name, payload in PAYLOADS.items()} == {name: name for name in PAYLOADS}
    assert {payload.__name__ for payload in PAYLOADS.values()} <= set(events.__all__)
    assert len(PAYLOADS) == 15
    assert not ACTIVE & TERMINAL
    assert set(PAYLOADS) > TERMINAL


@pytest.mark.parametrize("payload", list(PAYLOADS.values()), ids=list(PAYLOADS))
def test_what_is_not_given_is_not_written(payload: type[Payload]) -> None:
    required: dict[str, Any] = {
        field.encode_name: {"stage": "s", "message": "m", "error": "e", "reason": "r", "done": 1}.get(
            field.name
        )
        for field in msgspec.structs.fields(payload)
        if field.required
    }
    assert msgspec.to_builtins(payload(**required)) == required


def test_null_and_absent_are_two_things_for_a_total() -> None:
    assert msgspec.json.encode(Ticked(done=1)) == b'{"done":1}'
    assert msgspec.json.encode(Ticked(done=1, total=None)) == b'{"done":1,"total":null}'
    assert msgspec.json.encode(TotalChanged(total=None)) == b'{"total":null}'


def test_a_first_event_is_a_run_spec() -> None:
    for payload in (Queued, Started):
        assert issubclass(payload, RunSpec)
        assert payload(kind="k").attempt == 1


def test_an_event_says_its_type_also_when_nobody_knows_it() -> None:
    def event(data: Payload) -> Event:
        return Event(run_id="r", version=1, time="t", data=data)

    assert event(Ticked(done=1)).type == "ticked"
    assert event(Unknown(name="exploded")).type == "exploded"
