"""From what a producer said to the events that say it: merged ticks and facts, in an order the log accepts.

It follows the run's status as the producer's own events change it: work on a queued run starts it first,
ticks of a paused run are held until it goes on, and after the terminal event nothing follows.
"""

from typing import NamedTuple

from ..door import Draft
from ..errors import RunEnded
from ..events import TERMINAL, Heartbeat, Paused, Payload, Resumed, Started, Ticked
from .merge import Merge, join_ticks
from .outbox import Outbox, Reply

__all__ = ("Intake", "Post")

_NEEDS_RUNNING = frozenset(("ticked", "stage_changed", "rewound", "paused"))


class Post(NamedTuple):
    """A fact to be recorded; ``draft`` is the same when it was checked already."""

    payload: Payload
    reply: Reply | None = None
    draft: Draft | None = None


class Intake:
    """Moves what was said from a merge into an outbox. ``now`` is the producer's clock, as text."""

    def __init__(self, run_id: str, merge: Merge, outbox: Outbox, *, queued: bool) -> None:
        self.status = "queued" if queued else "running"
        self._run_id = run_id
        self._merge = merge
        self._outbox = outbox

    @property
    def pending(self) -> bool:
        """Whether there are merged ticks that may be sent."""
        return self._merge.dirty and self.status != "paused" and self.status not in TERMINAL

    def fact(self, post: Post, now: str) -> None:
        """Something was recorded: first goes what was merged before it."""
        kind = post.payload.type
        if kind in TERMINAL and self.status == "paused" and self._merge.dirty:
            self._put(Post(Resumed()), now)
        if self.pending:
            ticks = self._merge.take()
            if ticks and isinstance(post.payload, Ticked):
                joined = join_ticks(ticks[-1], post.payload) if post.payload.advance is not None else None
                if joined is not None:
                    # One tick was asked for, and one it is.
                    ticks.pop()
                    post = post._replace(payload=joined, draft=None)
            for tick in ticks:
                self._put(Post(tick), now)
        self._put(post, now)

    def ticks(self, now: str) -> bool:
        """What was merged goes. Whether that was anything."""
        if not self.pending:
            return False
        ticks = self._merge.take()
        for tick in ticks:
            self._put(Post(tick), now)
        return bool(ticks)

    def heartbeat(self, now: str) -> None:
        """Nothing was said for long: say that the producer lives."""
        self._put(Post(Heartbeat()), now)

    def _put(self, post: Post, now: str) -> None:
        payload = post.payload
        if self.status in TERMINAL:
            if post.reply is not None:
                post.reply(None, RunEnded(self._run_id, self.status))
            return
        if self.status == "queued" and payload.type in _NEEDS_RUNNING:
            self._outbox.add(Started(), now=now)
            self.status = "running"
        if isinstance(payload, Started | Resumed):
            self.status = "running"
        elif isinstance(payload, Paused):
            self.status = "paused"
        elif payload.type in TERMINAL:
            self.status = payload.type
        self._outbox.add(payload, now=now, reply=post.reply, draft=post.draft)
