"""The door of the log: what callers say is checked here, strictly, before anything is stored.

A :class:`Draft` is an event that passed: its shape and size are right, its data is encoded as it will
be stored. What depends on the run (status, version, slot) is decided later, in :mod:`.batch`.
"""

import re
from typing import NamedTuple, TypeAlias, cast

import msgspec

from . import codec
from .errors import InvalidEvent, InvalidRun, LedgerError, Malformed, TooLarge
from .events import MAX_DATA_BYTES, PAYLOADS, Payload, Queued, RunSpec, Stage, Started, Ticked
from .times import normalise_time

__all__ = ("Draft", "check_run_id", "decode_error", "draft_event", "draft_run", "parse_event", "parse_spec")

_Wrong: TypeAlias = type[InvalidEvent | InvalidRun]

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@-]{0,127}")
_RESERVED = frozenset(("current", "batch"))
_PATH = re.compile(r" - at `\$\.?(.*)`$")


class Draft(NamedTuple):
    """An event that may enter a run: type, payload, the payload's stored text, and the caller's id."""

    type: str
    payload: Payload
    data: str
    event_id: str | None


class _StrictStage(Stage, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


def _strict(payload: type[Payload]) -> type[Payload]:
    overrides = [("stages", list[_StrictStage], [])] if issubclass(payload, RunSpec) else []
    return msgspec.defstruct(
        payload.__name__,
        overrides,
        bases=(payload,),
        kw_only=True,
        omit_defaults=True,
        forbid_unknown_fields=True,
    )


_DECODERS = {name: msgspec.json.Decoder(_strict(payload)) for name, payload in PAYLOADS.items()}


def check_run_id(run_id: str, *, field: str = "run_id") -> str:
    """``run_id`` itself when it can be one. Raises InvalidRun otherwise, naming ``field``."""
    if not _RUN_ID.fullmatch(run_id) or ".." in run_id or run_id in _RESERVED:
        shown = run_id if len(run_id) <= 140 else run_id[:137] + "…"
        raise InvalidRun(
            f"{field} {shown!r} cannot be a run id: use 1 to 128 characters of A-Z a-z 0-9 . _ ~ : @ -, "
            "the first a letter or digit, no '..', and neither 'current' nor 'batch'.",
            field=field,
        )
    return run_id


def parse_event(type_name: str, data: bytes, event_id: str | None = None) -> Draft:
    """An event from JSON ``data``. Raises Malformed, InvalidEvent or TooLarge."""
    payload = _parse(type_name, data, InvalidEvent, "data")
    return _draft(payload, event_id, InvalidEvent)


def parse_spec(data: bytes) -> RunSpec:
    """A run spec from JSON. Raises Malformed, InvalidRun or TooLarge."""
    return cast("RunSpec", _parse("started", data, InvalidRun, "spec"))


def draft_event(payload: Payload, *, event_id: str | None = None) -> Draft:
    """A payload built in Python, checked like one that came over the wire.

    Raises InvalidEvent or TooLarge.
    """
    return _checked(payload, event_id, InvalidEvent)


def draft_run(spec: RunSpec, *, queued: bool = False, event_id: str | None = None) -> Draft:
    """A run's first event from its spec: ``queued`` or ``started``. Raises InvalidRun or TooLarge."""
    if not spec.kind:
        raise InvalidRun("A run needs a kind: what sort of job it is, 1 to 128 characters.", field="kind")
    first = Queued if queued else Started
    return _checked(first(**msgspec.structs.asdict(spec)), event_id, InvalidRun)


def _checked(payload: Payload, event_id: str | None, wrong: _Wrong) -> Draft:
    # A struct built in Python has not been validated: its encoded form is, by the strict decoder.
    draft = _draft(payload, event_id, wrong)
    _parse(draft.type, draft.data, wrong, "data")
    return draft


def _parse(type_name: str, data: bytes | str, wrong: _Wrong, where: str) -> Payload:
    decoder = _DECODERS.get(type_name)
    if decoder is None:
        raise InvalidEvent(
            f"type {type_name[:64]!r} is no event type; use one of {', '.join(PAYLOADS)}.", field="type"
        )
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise decode_error(error, wrong, where) from None


def _draft(payload: Payload, event_id: str | None, wrong: _Wrong) -> Draft:
    if event_id is not None and not _is_event_id(event_id):
        raise InvalidEvent("event_id must be 1 to 128 printable characters.", field="event_id")
    if isinstance(payload, RunSpec):
        _check_spec(payload, wrong)
    elif isinstance(payload, Ticked) and (payload.done is None) == (payload.advance is None):
        raise InvalidEvent("A 'ticked' event takes exactly one of done or advance.", field="data.done")
    if payload.occurred_at is not None:
        try:
            normal = normalise_time(payload.occurred_at)
        except ValueError as error:
            raise wrong(f"occurred_at: {error}; use RFC 3339 with a zone.", field="data.occurred_at") from None
        if normal != payload.occurred_at:
            payload = msgspec.structs.replace(payload, occurred_at=normal)
    try:
        data = codec.encode_data(payload)
    except (ValueError, TypeError, RecursionError) as error:
        raise wrong(f"data cannot be stored: {error}.", field="data") from None
    if len(data) > MAX_DATA_BYTES:
        raise TooLarge(
            f"data is {len(data)} bytes encoded; at most {MAX_DATA_BYTES} fit into one event.", field="data"
        )
    return Draft(payload.type, payload, data, event_id)


def decode_error(error: Exception, wrong: _Wrong, where: str) -> LedgerError:
    """What a decoder refused, as an error for people that names the field."""
    if isinstance(error, RecursionError):
        return wrong(f"{where} is nested too deeply.", field=where)
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        found = _PATH.search(text)
        field = where
        if found:
            text = text[: found.start()]
            field = f"{where}.{found[1]}" if where == "data" else found[1]
        elif "unknown field `" in text:
            field = text.split("`")[1]
        return wrong(f"{field}: {text}.", field=field)
    if isinstance(error, UnicodeDecodeError):
        return Malformed("The text is not UTF-8.")
    return Malformed(f"The text is not JSON: {error}.")


def _is_event_id(text: str) -> bool:
    return 0 < len(text) <= 128 and text.isprintable()


def _check_spec(spec: RunSpec, wrong: _Wrong) -> None:
    if spec.attempt != 1:
        raise wrong("attempt is counted by the ledger; name the earlier run with retry_of.", field="attempt")
    names = [stage.name for stage in spec.stages]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise wrong(f"stages: {twice!r} is declared twice; give each stage its own name.", field="stages")
    for key in spec.labels:
        if ":" in key:
            raise wrong(f"labels: the key {key!r} contains ':', which filters use.", field="labels")
    for field in ("parent", "retry_of"):
        run_id = getattr(spec, field)
        if run_id is not None:
            check_run_id(run_id, field=field)
