"""What a reconnecting client's cursor means here."""

import re
from typing import Literal, NamedTuple

__all__ = ("Decision", "Reason", "decide")

Reason = Literal["too_old", "unknown", "future", "epoch", "behind"]

_OURS = re.compile(r"([A-Za-z0-9]+)-([0-9]+)")


class Decision(NamedTuple):
    """``new``: no cursor was given. ``resumed``: go on after ``position``. ``reset``: the cursor says nothing
    here, for ``reason``; a snapshot must come first."""

    status: Literal["new", "resumed", "reset"]
    reason: Reason | None
    position: int


def decide(last_event_id: str | None, *, epoch: str, head: int) -> Decision:
    """Read a cursor against a log whose newest position is ``head``. Never an error."""
    if not last_event_id:
        return Decision("new", None, 0)
    match = _OURS.fullmatch(last_event_id)
    if match is None:
        return Decision("reset", "unknown", 0)
    if match[1] != epoch:
        return Decision("reset", "epoch", 0)
    digits = match[2].lstrip("0") or "0"
    if len(digits) > 19 or int(digits) > head:
        return Decision("reset", "future", 0)
    return Decision("resumed", None, int(digits))
