"""Events to stored bytes and back.

The stored form of an event is one line of ASCII JSON without its position::

    {"run_id":"qa-7","version":7,"time":"2026-11-21T23:34:40.123456Z","type":"ticked","data":{"done":150}}

with an ``event_id`` after ``data`` where the caller gave one. These bytes are what is hashed and are
never written again; history, exports and streams show them with the position in front.
"""

import codecs
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec

from .events import PAYLOADS, Event, Payload, Unknown

__all__ = (
    "UPCASTERS",
    "Upcaster",
    "ascii_json",
    "canonical",
    "data_of",
    "decode",
    "decode_known",
    "encode_data",
    "event_of",
    "stored_form",
    "wire_form",
)

Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(event type, schema version) → a pure step that lifts the raw event one version up.

Stored bytes never change: a step works on the parsed JSON at reading. Version 1 is written without a
``v`` field, so an additive change (a new field with a default) needs neither a step nor a version.
"""


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    escaped: list[str] = []
    for character in error.object[error.start : error.end]:
        point = ord(character)
        if point > 0xFFFF:
            point -= 0x10000
            escaped.append(f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}")
        else:
            escaped.append(f"\\u{point:04x}")
    return "".join(escaped), error.end


codecs.register_error("ledger.json", _escape)

_encoder = msgspec.json.Encoder()
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def ascii_json(value: object) -> bytes:
    """``value`` as JSON in which every character beyond ASCII is escaped.

    Several stream clients split lines at U+0085, U+2028 and U+2029; escaped, they cannot.
    Raises UnicodeEncodeError for a lone surrogate.
    """
    encoded = _encoder.encode(value)
    if encoded.isascii():
        return encoded
    return encoded.decode().encode("ascii", "ledger.json")


def encode_data(payload: object) -> str:
    """A payload, or what is in one, as stored: ASCII JSON, absent fields left out.

    Raises ValueError for a NUL character or a lone surrogate in a text.
    """
    encoded = _encoder.encode(payload)
    text = (encoded if encoded.isascii() else ascii_json(payload)).decode("ascii")
    if "\\u0000" in text and _NUL.search(text):
        raise ValueError("a text contains the NUL character")
    return text


def stored_form(run_id: str, version: int, time: str, type_name: str, data: str, event_id: str | None) -> str:
    """The line that is stored and hashed. ``data`` is :func:`encode_data`'s text."""
    end = "}" if event_id is None else f',"event_id":{ascii_json(event_id).decode("ascii")}}}'
    return (
        f'{{"run_id":"{run_id}","version":{version},"time":"{time}","type":"{type_name}","data":{data}{end}'
    )


def wire_form(position: int, body: bytes) -> bytes:
    """The event as the world sees it: the stored bytes with the position in front."""
    return b'{"position":%d,%b' % (position, body[1:])


_EVENTS: dict[str, type[Event]] = {
    name: cast(
        "type[Event]",
        msgspec.defstruct(
            f"{payload.__name__}Event", [("data", payload)], bases=(Event,), tag=name, kw_only=True
        ),
    )
    for name, payload in PAYLOADS.items()
}

_types: list[Any] = list(_EVENTS.values())
_known: Any = functools.reduce(lambda one, other: one | other, _types)
decode_known: Callable[[bytes], Event] = msgspec.json.Decoder(_known).decode
"""The event in a body as this release writes it, without its position; one with another ``v`` is not lifted.

Raises msgspec.ValidationError for any other body: :func:`decode` reads them all.
"""


class _Raw(msgspec.Struct):
    run_id: str
    version: int
    time: str
    type: str
    data: msgspec.Raw
    event_id: str | None = None
    v: int = 1


_decode_raw = msgspec.json.Decoder(_Raw).decode


def decode(body: bytes, position: int, *, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> Event:
    """The event in stored ``body``, at ``position``.

    A type, a schema version or a shape that this release does not know comes back with an
    :class:`Unknown` payload; a reader follows a newer log without an error.
    Raises msgspec.DecodeError when the bytes are not an event's at all.
    """
    try:
        event: Event = decode_known(body)
    except msgspec.ValidationError:
        return _lift(body, position, upcasters)
    if event.v != 1 or upcasters:
        return _lift(body, position, upcasters)
    event.position = position
    return event


def data_of(body: bytes) -> bytes:
    """The ``data`` of a stored event, as it is stored."""
    return bytes(_decode_raw(body).data)


def canonical(data: bytes | str) -> bytes:
    """JSON ``data`` with sorted keys: two texts that say the same come out the same."""
    return msgspec.json.encode(msgspec.json.decode(data), order="deterministic")


def event_of(
    type_name: str, run_id: str, version: int, time: str, data: Payload, event_id: str | None, position: int
) -> Event:
    """The same event that :func:`decode` reads back, without the way over its bytes."""
    return _EVENTS[type_name](
        run_id=run_id, version=version, time=time, data=data, event_id=event_id, position=position
    )


def _unknown(body: bytes, position: int) -> Event:
    raw = _decode_raw(body)
    return Event(
        run_id=raw.run_id,
        version=raw.version,
        time=raw.time,
        data=Unknown(name=raw.type),
        event_id=raw.event_id,
        position=position,
        v=raw.v,
    )


def _lift(body: bytes, position: int, upcasters: Mapping[tuple[str, int], Upcaster]) -> Event:
    raw: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    try:
        while (step := upcasters.get((raw["type"], raw.get("v", 1)))) is not None:
            raw = step(raw)
        if raw.get("v", 1) != 1 + sum(1 for name, _ in upcasters if name == raw["type"]):
            return _unknown(body, position)
        event = msgspec.convert(raw, _EVENTS[raw["type"]])
    except (msgspec.ValidationError, KeyError, TypeError):
        return _unknown(body, position)
    event.position = position
    return event
