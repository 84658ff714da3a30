"""An event as the frame that every reader of a stream is sent."""

import re
from functools import lru_cache
from typing import Literal, TypeAlias

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.events import TERMINAL
from progress_ledger.ledger.log import Recorded
from progress_ledger.ledger.times import read_time
from progress_ledger.projections import RunState, change, view

from . import sse
from .tail import Entry

__all__ = ("Mode", "encode_event")

Mode: TypeAlias = Literal["change", "full"]
"""What an event's frame shows of its run: what changed, or all of it."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@lru_cache(maxsize=256)
def _frame_name(event_type: str) -> bytes:
    # A newer release may have written types this one does not know; what is no name must not break a frame.
    return event_type.encode("ascii") if _NAME.fullmatch(event_type) else b"event"


@lru_cache(maxsize=256)
def _ascii(epoch: str) -> bytes:
    return epoch.encode("ascii")


def encode_event(recorded: Recorded, state: RunState, *, epoch: str, mode: Mode) -> Entry:
    """The frame of an event that was just applied to ``state``, seen at the event's own time.

    The same event always gives the same bytes, whether it is sent live or read back from the log. A run's
    first event shows all of the run in either mode: nobody holds a snapshot that could be patched.
    """
    event = recorded.event
    name = event.type
    final = name in TERMINAL
    position = event.position
    run = change(state, event) if mode == "change" else view(state, read_time(event.time))
    frame = sse.event_frame(
        _frame_name(name),
        recorded.body,
        ascii_json(run),
        position=position,
        epoch=_ascii(epoch),
        final=final,
    )
    return Entry(position, event.run_id, frame, final)
