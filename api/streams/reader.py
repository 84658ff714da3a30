"""One reader of a stream: where it is in the tail, and what it waits for."""

import asyncio

from .direct import Line, Transport

__all__ = ("Reader",)

_NOWHERE = -1


class Reader:
    """Woken by news, a sign of life that is due, the server's stop, or the other side's leaving.

    ``place`` is where it is in its topic's tail and ``alone`` whether its stream ends with a run. ``due`` is
    the loop's time at which it owes a sign of life, ``check`` that at which it is looked at in any case.
    ``wire`` tells that the other side is gone, where the server lends one.

    While it is ``waiting`` it has sent all there was. If it has a ``line``, ``at`` is its place then, and
    whoever has news may write them to ``transport`` when that keeps nothing back, and move both places; else
    ``at`` is no place. What serving a crowd needs of each is in this one object: every other one that is
    touched costs more than the code that touches it.
    """

    __slots__ = (
        "_waiter",
        "alone",
        "at",
        "check",
        "due",
        "gone",
        "line",
        "place",
        "transport",
        "waiting",
        "wire",
    )

    def __init__(self, *, alone: bool, wire: Line | None = None) -> None:
        self.alone = alone
        self.wire = wire
        self.place = 0
        self.at = _NOWHERE
        self.line: Line | None = None
        self.transport: Transport | None = None
        self.due = 0.0
        self.check = 0.0
        self.gone = False
        self.waiting = False
        self._waiter: asyncio.Future[None] | None = None

    def rest(self) -> None:
        """It has sent all there was."""
        self.waiting = True
        if self.line is not None:
            self.transport = self.line.transport
            self.at = self.place

    def wake(self) -> None:
        """Let :meth:`wait` return."""
        self.waiting = False
        self.at = _NOWHERE
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def leave(self) -> None:
        """The other side is gone."""
        self.gone = True
        self.wake()

    async def wait(self) -> None:
        """Until woken. Nothing may be awaited between looking for news and this call."""
        self._waiter = asyncio.get_running_loop().create_future()
        self.rest()
        try:
            await self._waiter
        finally:
            self.waiting = False
            self.at = _NOWHERE
            self._waiter = None
