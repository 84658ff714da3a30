"""A fold of our own, as small as what the torture's producers say. Shares nothing with the product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

TERMINAL = frozenset(("completed", "failed", "cancelled", "interrupted"))

COMPARED = ("status", "done", "total", "message", "counts", "stage", "version", "position")
"""Fields of a snapshot that age has no part in."""


class Fold(NamedTuple):
    """A run after one of its events."""

    version: int
    position: int
    time: str
    type: str
    token: str | None
    status: str
    done: int
    total: int | None
    message: str | None
    counts: Mapping[str, int]
    stage: str | None

    def differs(self, shown: Mapping[str, Any]) -> str | None:
        """The first field in which something shown to a reader differs, or None. Absent is not compared."""
        for name in COMPARED:
            if name in shown and shown[name] != getattr(self, name):
                return f"{name} is {shown[name]!r}, by the log {getattr(self, name)!r}"
        return None


def token_of(kind: str, data: Mapping[str, Any]) -> str | None:
    """What a producer wrote into an event to know it again."""
    name = {
        "started": "title",
        "rewound": "reason",
        "paused": "reason",
        "resumed": "reason",
        "cancelled": "reason",
    }.get(kind, "message")
    return data.get(name)


def first(event: Mapping[str, Any], position: int) -> Fold:
    data = event["data"]
    return Fold(
        1,
        position,
        event["time"],
        "started",
        token_of("started", data),
        "running",
        0,
        data.get("total"),
        None,
        {},
        None,
    )


def then(was: Fold, event: Mapping[str, Any], position: int) -> Fold:
    """The run after one more event."""
    kind, data = event["type"], event["data"]
    status, done, total, message = was.status, was.done, was.total, was.message
    counts, stage = was.counts, was.stage
    if kind == "ticked":
        done = max(done, data["done"]) if "done" in data else done + data.get("advance", 0)
        total = data.get("total", total)
        message = data.get("message", message)
        if data.get("counts"):
            counts = {**counts, **{name: counts.get(name, 0) + n for name, n in data["counts"].items()}}
    elif kind == "stage_changed":
        stage, done, total, message = data["stage"], 0, data["total"], data.get("message")
    elif kind == "rewound":
        done = data["done"]
    elif kind == "noted":
        message = data["message"]
    elif kind == "paused":
        status = "paused"
    elif kind == "resumed":
        status = "running"
    elif kind in TERMINAL:
        status = kind
        message = data.get("message" if kind in ("completed", "failed") else "reason") or message
    token = token_of(kind, data)
    return Fold(
        was.version + 1, position, event["time"], kind, token, status, done, total, message, counts, stage
    )
