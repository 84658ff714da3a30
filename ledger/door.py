"""The door of the log: what callers say is checked here, strictly, before anything is stored.

A :class:`Draft` is an event that passed: its shape and size are right, its data is encoded as it will
be stored. What depends on the run (status, version, slot) is decided later, in :mod:`.batch`.
"""

import math
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias, cast, get_args

import msgspec

from . import codec
from .errors import InvalidEvent, InvalidRun, LedgerError, Malformed, TooLarge
from .events import (
    MAX_DATA_BYTES,
    PAYLOADS,
    Completed,
    Level,
    Payload,
    Queued,
    RunSpec,
    Stage,
    Started,
    Ticked,
)
from .times import normalise_time

__all__ = (
    "MAX_DEPTH",
    "Draft",
    "check_run_id",
    "decode_error",
    "draft_event",
    "draft_run",
    "parse_event",
    "parse_spec",
)

MAX_DEPTH = 64
"""Levels of nesting in a ``result``: every JSON reader anywhere can follow that far."""

_Wrong: TypeAlias = type[InvalidEvent | InvalidRun]

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@-]{0,127}")
_RESERVED = frozenset(("current", "batch"))
_UNKNOWN = re.compile(r"unknown field `(.*)`")
_MISSING = re.compile(r"missing required field `(.*)`")
_PATH = re.compile(r" - at (`key` in )?`\$\.?(.*)`$")


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event that may enter a run: type, payload, the payload's stored text, and the caller's id.

    The payload is what reading the text gives, whatever the caller handed in.
    """

    type: str
    payload: Payload
    data: str
    event_id: str | None


class _StrictStage(Stage, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


def _strict(payload: type[Payload]) -> type[Payload]:
    stages: list[tuple[str, Any, Any]] = [("stages", list[_StrictStage], [])]
    strict = msgspec.defstruct(
        payload.__name__,
        stages if issubclass(payload, RunSpec) else [],
        bases=(payload,),
        kw_only=True,
        omit_defaults=True,
        forbid_unknown_fields=True,
    )
    return cast("type[Payload]", strict)


_Decode: TypeAlias = Callable[[bytes | str], Payload]
_NAMES: dict[type[Payload], str] = {payload: name for name, payload in PAYLOADS.items()}
_PUBLIC: dict[str, _Decode] = {name: msgspec.json.Decoder(each).decode for name, each in PAYLOADS.items()}
_STRICT: dict[str, _Decode] = {
    name: msgspec.json.Decoder(_strict(each)).decode for name, each in PAYLOADS.items()
}
_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_ENCODE_ERRORS = (ValueError, TypeError, OverflowError, RecursionError)


def check_run_id(run_id: str, *, field: str = "run_id") -> str:
    """``run_id`` itself when it can be one. Raises InvalidRun otherwise, naming ``field``."""
    if type(run_id) is not str:
        raise InvalidRun(f"{field} must be a text, not {type(run_id).__name__}.", field=field)
    if not _is_run_id(run_id):
        shown = run_id if len(run_id) <= 140 else run_id[:137] + "…"
        raise InvalidRun(
            f"{field} {shown!r} cannot be a run id: use 1 to 128 characters of A-Z a-z 0-9 . _ ~ : @ -, "
            "the first a letter or digit, no '..', and neither 'current' nor 'batch'.",
            field=field,
        )
    return run_id


@lru_cache(maxsize=4_096)
def _is_run_id(text: str) -> bool:
    # Asked for every event of a run; remembered, it costs a quarter.
    return _RUN_ID.fullmatch(text) is not None and ".." not in text and text not in _RESERVED


def parse_event(type_name: str, data: bytes, event_id: str | None = None) -> Draft:
    """An event from JSON ``data``. Raises Malformed, InvalidEvent or TooLarge."""
    return _draft(_parse(type_name, data, InvalidEvent, "data"), type_name, event_id, InvalidEvent)


def parse_spec(data: bytes) -> RunSpec:
    """A run spec from JSON. Raises Malformed, InvalidRun or TooLarge."""
    spec = _parse("started", data, InvalidRun, "spec")
    return cast("RunSpec", _draft(spec, "started", None, InvalidRun).payload)


def draft_event(payload: Payload, *, event_id: str | None = None) -> Draft:
    """A payload built in Python, checked like one that came over the wire.

    Raises InvalidEvent or TooLarge.
    """
    name = _NAMES.get(type(payload))
    if name is None:
        known = ", ".join(each.__name__ for each in _NAMES)
        raise InvalidEvent(f"{type(payload).__name__} is no event; use one of {known}.", field="type")
    return _draft(payload, name, event_id, InvalidEvent)


def draft_run(spec: RunSpec, *, queued: bool = False, event_id: str | None = None) -> Draft:
    """A run's first event from its spec: ``queued`` or ``started``. Raises InvalidRun or TooLarge."""
    if not spec.kind:
        raise InvalidRun("A run needs a kind: what sort of job it is, 1 to 128 characters.", field="kind")
    first = Queued if queued else Started
    return _draft(first(**msgspec.structs.asdict(spec)), first.type, event_id, InvalidRun)


def _parse(type_name: str, data: bytes, wrong: _Wrong, where: str) -> Payload:
    decode = _STRICT.get(type_name)
    if decode is None:
        raise InvalidEvent(
            f"type {str(type_name)[:64]!r} is no event type; use one of {', '.join(PAYLOADS)}.", field="type"
        )
    try:
        return decode(data)
    except _DECODE_ERRORS as error:
        raise decode_error(error, wrong, where) from None


def _draft(payload: Payload, type_name: str, event_id: str | None, wrong: _Wrong) -> Draft:
    # A struct built in Python has not been validated, and may hold what JSON turns into something else: it
    # is its encoded form that is checked, and read back.
    if event_id is not None and not _is_event_id(event_id):
        raise InvalidEvent("event_id must be 1 to 128 printable characters.", field="event_id")
    data = _encode(payload, wrong)
    told = payload
    try:
        payload = _PUBLIC[type_name](data)
    except _DECODE_ERRORS as error:
        raise decode_error(error, wrong, _whole(wrong)) from None
    if "null" in data:
        _check_finite(told, wrong)
    if payload != told and type(payload) is type(told):
        _check_text(told, wrong)
    check = _CHECKS.get(type_name)
    if check is not None:
        check(payload, wrong)
    if payload.occurred_at is not None:
        payload = msgspec.structs.replace(payload, occurred_at=_normal(payload.occurred_at, wrong))
        data = _encode(payload, wrong)
    return Draft(type_name, payload, data, event_id)


def _encode(payload: Payload, wrong: _Wrong) -> str:
    try:
        data = codec.encode_data(payload)
    except _ENCODE_ERRORS as error:
        field = _unstorable(payload, wrong)
        raise wrong(f"{field} cannot be stored: {error}.", field=field) from None
    if len(data) > MAX_DATA_BYTES:
        whole = _whole(wrong)
        raise TooLarge(
            f"{whole} is {len(data)} bytes encoded; at most {MAX_DATA_BYTES} fit into one event.", field=whole
        )
    return data


def _whole(wrong: _Wrong) -> str:
    return "data" if wrong is InvalidEvent else "spec"


def _place(wrong: _Wrong, field: str) -> str:
    # A run's spec is the data of its first event, and stands alone when a run is created.
    return f"data.{field}" if wrong is InvalidEvent else field


def _unstorable(payload: Payload, wrong: _Wrong) -> str:
    # The first field that could not be stored alone either.
    for name in payload.__struct_fields__:
        value = getattr(payload, name)
        try:
            codec.encode_data({} if value is msgspec.UNSET else value)
        except _ENCODE_ERRORS:
            return _place(wrong, name)
    return _whole(wrong)


def _check_finite(payload: Payload, wrong: _Wrong) -> None:
    # JSON has no word for these numbers, and would say null: unknown, or not set.
    parts: list[tuple[str, msgspec.Struct]] = [("", payload)]
    if isinstance(payload, RunSpec):
        stages = cast("list[object]", payload.stages)
        parts += [(f"stages[{n}].", each) for n, each in enumerate(stages) if isinstance(each, Stage)]
    for place, each in parts:
        for name in each.__struct_fields__:
            value = getattr(each, name)
            if isinstance(value, float) and not math.isfinite(value) and name != "result":
                field = _place(wrong, place + name)
                raise wrong(f"{field} must be a finite number, not {value}.", field=field)


def _check_text(payload: Payload, wrong: _Wrong) -> None:
    # JSON has no bytes, and the encoder would store their base64, which nobody meant.
    for name in payload.__struct_fields__:
        level: list[Any] = [getattr(payload, name)]
        while level:
            if any(isinstance(each, bytes | bytearray | memoryview) for each in level):
                field = _place(wrong, name)
                raise wrong(f"{field} holds bytes, and takes text; decode them first.", field=field)
            level = [inner for each in level for inner in _inside(each)]


def _normal(occurred_at: str, wrong: _Wrong) -> str:
    try:
        return normalise_time(occurred_at)
    except ValueError as error:
        raise wrong(
            f"occurred_at: {error}; use RFC 3339 with a zone.", field=_place(wrong, "occurred_at")
        ) from None


def decode_error(error: Exception, wrong: _Wrong, where: str) -> LedgerError:
    """What a decoder refused, as an error for people that names the field."""
    if isinstance(error, RecursionError):
        return wrong(f"{where} is nested too deeply.", field=where)
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        found = _PATH.search(text)
        inner = found[2] if found else ""
        if found:
            text = text[: found.start()]
            text = f"{text} in a key" if found[1] else text
        for named, said in ((_UNKNOWN, "unknown field"), (_MISSING, "required, but missing")):
            name = named.search(text)
            if name:
                inner = f"{inner}.{name[1]}" if inner else name[1]
                text = said
        if text.startswith("Invalid enum value"):
            text += f", use one of {', '.join(get_args(Level))}"
        if where == "data":
            field = f"data.{inner}" if inner else "data"
        else:
            field = inner or where
        return wrong(f"{field}: {text}.", field=field)
    if isinstance(error, UnicodeDecodeError):
        return Malformed("The text is not UTF-8.")
    if "truncated" in str(error):
        # What the decoder also says of a lone surrogate at the end of a text.
        return Malformed(
            "The text is not JSON: it breaks off, or a text in it holds half of a surrogate pair."
        )
    return Malformed(f"The text is not JSON: {error}.")


def _is_event_id(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 128 and text.isprintable()


def _check_tick(tick: Ticked, wrong: _Wrong) -> None:
    if (tick.done is None) == (tick.advance is None):
        raise wrong("A 'ticked' event takes exactly one of done or advance.", field="data.done")


def _check_result(completed: Completed, wrong: _Wrong) -> None:
    level: list[Any] = [completed.result]
    for _ in range(MAX_DEPTH):
        level = [inner for each in level for inner in _inside(each)]
    if any(isinstance(each, dict | list) for each in level):
        raise wrong(f"result is nested more than {MAX_DEPTH} levels deep.", field="data.result")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, msgspec.Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    if not isinstance(value, dict | list | tuple):
        return ()
    inner = cast("dict[str, Any] | list[Any] | tuple[Any, ...]", value)
    return inner.values() if isinstance(inner, dict) else inner


def _check_spec(spec: RunSpec, wrong: _Wrong) -> None:
    if spec.attempt != 1:
        raise wrong(
            "attempt is counted by the ledger; name the earlier run with retry_of.",
            field=_place(wrong, "attempt"),
        )
    names = [stage.name for stage in spec.stages]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise wrong(
            f"stages: {twice!r} is declared twice; give each stage its own name.",
            field=_place(wrong, "stages"),
        )
    for key in spec.labels:
        if ":" in key:
            raise wrong(
                f"labels: the key {key!r} contains ':', which filters use.", field=_place(wrong, "labels")
            )
    for field in ("parent", "retry_of"):
        run_id = getattr(spec, field)
        if run_id is not None:
            try:
                check_run_id(run_id, field=field)
            except InvalidRun as error:
                raise wrong(str(error), field=_place(wrong, field)) from None


_CHECKS: dict[str, Callable[[Any, _Wrong], None]] = {
    "queued": _check_spec,
    "started": _check_spec,
    "ticked": _check_tick,
    "completed": _check_result,
}
