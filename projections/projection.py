"""What follows the fold of runs."""

from typing import Protocol

from progress_ledger.ledger.log import Recorded

from .state import RunState

__all__ = ("Follower",)


class Follower(Protocol):
    """Told of every event right after it was folded, in the order of the log, live and while catching up.

    Neither method awaits or raises. ``state`` goes on changing: take from it what is needed at once.
    """

    def folded(self, recorded: Recorded, state: RunState) -> None:
        """``recorded`` has just been applied to ``state``."""
        ...

    def settled(self) -> None:
        """A batch is folded; whoever waits for news may be woken."""
        ...
