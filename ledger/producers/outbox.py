"""What a producer has to say and the log has not taken yet: bounded, in order, each thing once.

When the log cannot take it, every entry gets an ``event_id``, so that it can be sent again without being
stored twice, and the time it was made. At the bound, ticks that were never sent are joined first, which
loses no count; only then the oldest is given up, and counted.
"""

from collections import deque
from collections.abc import Callable, Iterable

from ..door import Draft, draft_event
from ..errors import LedgerError
from ..events import TERMINAL, Payload, Ticked
from ..log import Receipt
from .merge import join_ticks

__all__ = ("Entry", "Outbox", "Reply")

Reply = Callable[[Receipt | None, LedgerError | None], None]
"""Called once with a receipt, or with what went wrong, or with neither when the answer comes too late."""


class Entry:
    """One event on its way. ``tried``: it may be in the log already, so its content must not change."""

    __slots__ = ("_draft", "event_id", "made_at", "payload", "reply", "tried")

    def __init__(self, payload: Payload, made_at: str, reply: Reply | None, draft: Draft | None) -> None:
        self._draft = draft
        self.payload = payload
        self.made_at = made_at
        self.reply = reply
        self.event_id: str | None = None
        self.tried = False

    def answer(self, receipt: Receipt | None = None, error: LedgerError | None = None) -> None:
        """Tell whoever waits, once."""
        reply, self.reply = self.reply, None
        if reply is not None:
            reply(receipt, error)

    def draft(self) -> Draft:
        """The event as the log takes it. Raises InvalidEvent or TooLarge."""
        if self._draft is None or self._draft.event_id != self.event_id:
            self._draft = draft_event(self.payload, event_id=self.event_id)
        return self._draft

    def happened(self, at: str) -> None:
        """Say when it was made, unless the producer said so or it may be in the log already."""
        if not self.tried and self.payload.occurred_at is None:
            self.payload.occurred_at = at
            self._draft = None

    def become(self, payload: Payload) -> None:
        """Carry another payload."""
        self.payload = payload
        self._draft = None


class Outbox:
    """A queue of entries, at most about ``limit`` long. ``always_ids`` when an answer may get lost."""

    def __init__(self, name: str, *, limit: int = 1_000, always_ids: bool = False) -> None:
        self._name = name
        self._limit = limit
        self._always_ids = always_ids
        self._entries: deque[Entry] = deque()
        self._numbers = 0
        self._late = False
        self.lost = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def terminal(self) -> str | None:
        """The type of the terminal event that waits here, if one does."""
        last = self._entries[-1].payload.type if self._entries else ""
        return last if last in TERMINAL else None

    def add(
        self, payload: Payload, *, now: str, reply: Reply | None = None, draft: Draft | None = None
    ) -> None:
        """Put an event at the end; ``now`` is the producer's clock."""
        entry = Entry(payload, now, reply, draft)
        self._entries.append(entry)
        if self._always_ids or self._late:
            self._mark(entry)
            entry.happened(now)
        if len(self._entries) > self._limit:
            self._thin()

    def batch(self, *, limit: int = 256) -> list[Entry]:
        """The oldest entries, to be sent together."""
        return [entry for entry, _ in zip(self._entries, range(limit), strict=False)]

    def settle(self, entries: Iterable[Entry]) -> None:
        """These are in the log, or refused for good."""
        settled = {id(entry) for entry in entries}
        self._entries = deque(entry for entry in self._entries if id(entry) not in settled)
        if not self._entries:
            self._late = False

    def postpone(self, sent: Iterable[Entry], *, uncertain: bool) -> None:
        """The log did not answer for ``sent``. ``uncertain``: it may have stored them all the same."""
        self._late = True
        if uncertain:
            for entry in sent:
                entry.tried = True
        for entry in self._entries:
            self._mark(entry)
            entry.happened(entry.made_at)

    def clear(self, error: LedgerError | None = None) -> int:
        """Give everything up and say how much that was."""
        count = len(self._entries)
        for entry in self._entries:
            entry.answer(None, error)
        self._entries.clear()
        self._late = False
        return count

    def _mark(self, entry: Entry) -> None:
        if entry.event_id is None:
            self._numbers += 1
            entry.event_id = f"{self._name}-{self._numbers}"

    def _thin(self) -> None:
        # Two and two: joining all ticks into one would lose the whole course of the outage.
        kept: list[Entry] = []
        joined_last = False
        for entry in self._entries:
            joined = None if joined_last or not kept else _joined(kept[-1], entry)
            if joined is None:
                kept.append(entry)
            else:
                entry.become(joined)
                kept[-1] = entry
            joined_last = joined is not None
        while len(kept) > self._limit:
            at = next((i for i, entry in enumerate(kept) if entry.payload.type not in TERMINAL), 0)
            kept.pop(at).answer()
            self.lost += 1
        self._entries = deque(kept)


def _joined(first: Entry, second: Entry) -> Ticked | None:
    for entry in (first, second):
        if entry.tried or entry.reply is not None:
            return None
    if isinstance(first.payload, Ticked) and isinstance(second.payload, Ticked):
        return join_ticks(first.payload, second.payload)
    return None
