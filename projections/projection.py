"""What follows the fold of runs."""

import logging
from collections.abc import Callable
from typing import Protocol

from progress_ledger.ledger.log import Recorded

from .state import RunState

__all__ = ("Follower", "Followers", "listens")

_logger = logging.getLogger("progress_ledger.projections")


class Follower(Protocol):
    """Told of every event right after it was folded, in the order of the log, live and while catching up.

    Neither method awaits or raises. ``state`` goes on changing: take from it what is needed at once.

    A follower may have an attribute ``idle``: while it is true nothing need be told, and what other processes
    wrote is folded several times faster when nobody listens.
    """

    def folded(self, recorded: Recorded, state: RunState) -> None:
        """``recorded`` has just been applied to ``state``."""
        ...

    def settled(self) -> None:
        """A batch is folded; whoever waits for news may be woken."""
        ...


def listens(follower: Follower) -> bool:
    """Whether it has to be told of events now."""
    return not getattr(follower, "idle", False)


class Followers:
    """All that follow one fold. One that raises is logged, and told of the next event all the same."""

    def __init__(self) -> None:
        self._all: tuple[Follower, ...] = ()

    def add(self, follower: Follower) -> Callable[[], None]:
        """Tell it, too. Returns what stops it."""
        self._all = (*self._all, follower)

        def stop() -> None:
            self._all = tuple(one for one in self._all if one is not follower)

        return stop

    @property
    def listen(self) -> bool:
        """Whether any of them has to be told of events now."""
        return any(map(listens, self._all))

    def tell(self, recorded: Recorded, state: RunState) -> None:
        """See :meth:`Follower.folded`."""
        for follower in self._all:
            try:
                follower.folded(recorded, state)
            except Exception:
                _logger.exception("a follower failed on position %d", recorded.event.position)

    def settle(self, position: int) -> None:
        """See :meth:`Follower.settled`; ``position`` is where the fold is."""
        for follower in self._all:
            try:
                follower.settled()
            except Exception:
                _logger.exception("a follower failed at position %d", position)
