"""What follows the fold of runs."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from progress_ledger.ledger.log import Recorded

from .state import RunState

__all__ = ("Follower", "Followers", "listens")

_logger = logging.getLogger("progress_ledger.projections")


class Follower(Protocol):
    """Told of every event after it was folded, in the order of the log, live and while catching up.

    It is told before anything else happens to that run, and before anybody sees the projector that far.
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
    """All that follow one fold. One that raises is logged, and told of the next event all the same.

    What is :meth:`put_off` is told by :meth:`catch_up`, which whoever folds on or looks at the fold calls.
    """

    def __init__(self) -> None:
        self._all: tuple[Follower, ...] = ()
        self._untold: Sequence[tuple[Recorded, RunState]] = ()

    def add(self, follower: Follower) -> Callable[[], None]:
        """Tell it, too, of what is folded from now on. Returns what stops it."""
        self.catch_up()
        self._all = (*self._all, follower)

        def stop() -> None:
            self._all = tuple(one for one in self._all if one is not follower)

        return stop

    @property
    def listen(self) -> bool:
        """Whether any of them has to be told of events now."""
        return any(map(listens, self._all))

    def put_off(self, folded: Sequence[tuple[Recorded, RunState]]) -> None:
        """Tell these later. No run is among them twice, and all that was put off before is told."""
        self._untold = folded

    def catch_up(self) -> None:
        """Tell now what was put off."""
        if self._untold:
            untold, self._untold = self._untold, ()
            for recorded, state in untold:
                self.tell(recorded, state)
            self.settle()

    def tell(self, recorded: Recorded, state: RunState) -> None:
        """See :meth:`Follower.folded`."""
        for follower in self._all:
            try:
                follower.folded(recorded, state)
            except Exception:
                _logger.exception("a follower failed on position %d", recorded.event.position)

    def settle(self) -> None:
        """See :meth:`Follower.settled`."""
        for follower in self._all:
            try:
                follower.settled()
            except Exception:
                _logger.exception("a follower failed after a batch")
