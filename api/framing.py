"""An event as the frame that every reader of a stream is sent."""

import re
from functools import lru_cache
from typing import Literal, TypeAlias

from progress_ledger.ledger.codec import ascii_json, wire_form
from progress_ledger.ledger.events import TERMINAL
from progress_ledger.ledger.log import Recorded
from progress_ledger.ledger.times import parse_time
from progress_ledger.projections import RunState, change, view

from . import sse
from .tail import Entry

__all__ = ("Mode", "encode_event")

Mode: TypeAlias = Literal["change", "full"]
"""What an event's frame shows of its run: what changed, or all of it."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@lru_cache(maxsize=256)
def _frame_name(event_type: str) -> str:
    # A newer release may have written types this one does not know; what is no name must not break a frame.
    return event_type if _NAME.fullmatch(event_type) else "event"


def encode_event(recorded: Recorded, state: RunState, *, epoch: str, mode: Mode) -> Entry:
    """The frame of an event that was just applied to ``state``, seen at the event's own time.

    The same event always gives the same bytes, whether it is sent live or read back from the log. A run's
    first event shows all of the run in either mode: nobody holds a snapshot that could be patched.
    """
    event = recorded.event
    name = event.type
    final = name in TERMINAL
    whole = mode == "full" or event.version == 1
    run = view(state, parse_time(event.time)) if whole else change(state, event)
    data = b'{"event":%b,"run":%b%b}' % (
        wire_form(event.position, recorded.body),
        ascii_json(run),
        b',"final":true' if final else b"",
    )
    frame = sse.frame(_frame_name(name), data, id=sse.event_id(epoch, event.position))
    return Entry(event.position, event.run_id, frame, final)
