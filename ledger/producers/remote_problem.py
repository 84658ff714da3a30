"""A server's answer that is not the wished one, as the error that the ledger itself would have raised."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..errors import (
    EventIdConflict,
    InvalidEvent,
    InvalidRun,
    InvalidTransition,
    LedgerError,
    Malformed,
    Pruned,
    RunEnded,
    RunExists,
    RunNotFound,
    SlotHolder,
    SlotTaken,
    TooLarge,
    Unavailable,
    VersionConflict,
)

__all__ = ("error_of",)

_PASSING = frozenset((401, 403, 408, 421, 425, 429))
"""Refusals that may pass: a token that is renewed, a proxy that is in a hurry."""

_FINAL_UNSAID = frozenset((400, 413, 414, 415, 422, 431))
"""What even a proxy says of this very request; what else comes without a code is not the ledger's word."""

_Fields = Mapping[str, Any]


def _slot_taken(told: _Fields) -> LedgerError:
    run: dict[str, Any] = told.get("run") or {}
    holder = SlotHolder(
        run_id=run.get("run_id", "?"),
        kind=run.get("kind", "?"),
        status=run.get("status", "?"),
        owner=run.get("owner"),
    )
    return SlotTaken(told.get("slot") or run.get("slot") or "?", holder)


_MADE: dict[str, Callable[[str, _Fields, str], LedgerError]] = {
    "run_not_found": lambda run_id, told, text: RunNotFound(run_id),
    "run_exists": lambda run_id, told, text: RunExists(run_id),
    "run_ended": lambda run_id, told, text: RunEnded(run_id, told.get("run_status", "ended")),
    "version_conflict": lambda run_id, told, text: VersionConflict(
        run_id, told.get("expected_version", 0), told.get("current_version", 0)
    ),
    "event_id_conflict": lambda run_id, told, text: EventIdConflict(run_id, told.get("event_id", "?")),
    "invalid_transition": lambda run_id, told, text: InvalidTransition(
        run_id, told.get("run_status", "?"), told.get("event_type", "?")
    ),
    "slot_taken": lambda run_id, told, text: _slot_taken(told),
    "pruned": lambda run_id, told, text: Pruned(run_id, told.get("archive")),
    "malformed": lambda run_id, told, text: Malformed(text),
    "invalid_run": lambda run_id, told, text: InvalidRun(text, field=told.get("field")),
    "invalid_event": lambda run_id, told, text: InvalidEvent(text, field=told.get("field")),
    "too_large": lambda run_id, told, text: TooLarge(text, field=told.get("field")),
}


def error_of(status: int, body: bytes, run_id: str) -> LedgerError:
    """The error in an answer about ``run_id``: by its ``code``, else by its HTTP status.

    What may pass is Unavailable; the rest is final.
    """
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        told = {}
    code, text = told.get("code"), str(told.get("detail") or f"the server answered {status}")
    if isinstance(code, str) and code in _MADE:
        try:
            return _MADE[code](run_id, told, text)
        except (TypeError, AttributeError):
            return LedgerError(text)
    if code is None and status not in _FINAL_UNSAID:
        return Unavailable(f"What answers there is no ledger, or not yet ({status}).")
    if status >= 500 or status in _PASSING or status < 400:
        return Unavailable(f"The server cannot take events now ({status}: {text}).")
    return LedgerError(f"The server refused the request ({status}: {text}).")
