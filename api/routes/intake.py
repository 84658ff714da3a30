"""An event as a client sends it, turned into one that may enter the log."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from progress_ledger.ledger.door import Draft, parse_event
from progress_ledger.ledger.errors import InvalidEvent, LedgerError, TooLarge

__all__ = ("MAX_EVENTS", "EventBatch", "EventIn", "LineIn", "drafts_of")

MAX_EVENTS = 10_000
"""Most events of one request, which is one transaction."""


class EventIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """An event of a known run. ``occurred_at`` may stand here or in ``data``."""

    type: str
    data: Raw = Raw(b"{}")
    event_id: str | None = None
    occurred_at: str | None = None

    def draft(self) -> Draft:
        """The same event, checked. Raises Malformed, InvalidEvent or TooLarge."""
        data = bytes(self.data)
        if self.occurred_at is not None:
            data = _with_occurred_at(data, self.occurred_at)
        return parse_event(self.type, data, self.event_id)


class LineIn(EventIn, kw_only=True, forbid_unknown_fields=True):
    """An event of any run: one line of ``POST /v1/events``."""

    run_id: str


class EventBatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """Events of one run: all of them, or none."""

    events: Annotated[list[EventIn], Meta(min_length=1)]
    expected_version: Annotated[int, Meta(ge=0)] | None = None


def drafts_of(events: list[EventIn]) -> list[Draft]:
    """All events checked, in order. An error names the event by its place in the list.

    Raises Malformed, InvalidEvent or TooLarge.
    """
    if len(events) > MAX_EVENTS:
        raise TooLarge(
            f"{len(events)} events are too many for one request; send at most {MAX_EVENTS}.", field="events"
        )
    drafts: list[Draft] = []
    for index, event in enumerate(events):
        try:
            drafts.append(event.draft())
        except LedgerError as error:
            raise _placed(error, index) from None
    return drafts


_object = msgspec.json.Decoder(dict[str, Raw])


def _with_occurred_at(data: bytes, occurred_at: str) -> bytes:
    try:
        fields = _object.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Left as it is: what is wrong with it is told where the data is read.
        return data
    if "occurred_at" in fields:
        raise InvalidEvent("occurred_at is given twice; leave it in data or beside it.", field="occurred_at")
    return msgspec.json.encode({**fields, "occurred_at": occurred_at})


def _placed(error: LedgerError, index: int) -> LedgerError:
    text = f"events[{index}]: {error}"
    if isinstance(error, InvalidEvent | TooLarge):
        return type(error)(
            text, field=f"events[{index}].{error.field}" if error.field else f"events[{index}]"
        )
    return type(error)(text)
