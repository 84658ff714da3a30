"""What follows the fold of runs."""

from typing import Protocol

from progress_ledger.ledger.log import Recorded

from .state import RunState

__all__ = ("Follower", "listens")


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
