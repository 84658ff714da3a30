"""One reader of a stream: where it is in the tail, and what it waits for."""

import asyncio

from .direct import Line

__all__ = ("Reader",)


class Reader:
    """Woken by news, a sign of life that is due, the server's stop, or the other side's leaving.

    ``place`` is where it is in its topic's tail and ``alone`` whether its stream ends with a run. ``due`` is
    the loop's time at which it owes a sign of life, ``check`` that at which it is looked at in any case.
    ``wire`` tells that the other side is gone, where the server lends one. While it is ``waiting`` it has
    sent all there was, and whoever has news may write them to its ``line`` and move its place.
    """

    __slots__ = ("_waiter", "alone", "check", "due", "gone", "line", "place", "waiting", "wire")

    def __init__(self, *, alone: bool, wire: Line | None = None) -> None:
        self.alone = alone
        self.wire = wire
        self.place = 0
        self.line: Line | None = None
        self.due = 0.0
        self.check = 0.0
        self.gone = False
        self.waiting = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let :meth:`wait` return."""
        self.waiting = False
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
        self.waiting = True
        try:
            await self._waiter
        finally:
            self.waiting = False
            self._waiter = None
