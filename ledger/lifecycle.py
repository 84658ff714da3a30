"""Which event may come in which status, and what the status is then."""

from .events import ACTIVE, TERMINAL, Status

__all__ = ("next_status",)

_ANYWHERE = ("noted", "heartbeat", "cancel_requested", "total_changed")
_RUNNING_ONLY = ("ticked", "stage_changed", "rewound")

_TABLE: dict[tuple[str | None, str], Status] = {
    (None, "queued"): "queued",
    (None, "started"): "running",
    ("queued", "started"): "running",
    ("running", "paused"): "paused",
    ("paused", "resumed"): "running",
}
for _type in _RUNNING_ONLY:
    _TABLE["running", _type] = "running"
for _status in ("queued", "running", "paused"):
    for _type in _ANYWHERE:
        _TABLE[_status, _type] = _status
    for _terminal in ("completed", "failed", "cancelled", "interrupted"):
        _TABLE[_status, _terminal] = _terminal

assert {status for status, _ in _TABLE} - {None} == ACTIVE
assert set(_TABLE.values()) == ACTIVE | TERMINAL


def next_status(status: str | None, event_type: str) -> Status | None:
    """The status after the event, or None when the event may not come. ``None`` is a run not yet begun."""
    return _TABLE.get((status, event_type))
