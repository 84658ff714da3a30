"""Where a producer's events go: a ledger in this process, or one behind HTTP."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ..door import Draft
from ..errors import InvalidRun, RunEnded, RunExists, RunNotFound, SlotTaken, TooLarge
from ..events import Payload, RunSpec
from ..log import Accepted, Receipt

__all__ = ("CALLERS_OWN", "Created", "News", "Sink")

CALLERS_OWN = (SlotTaken, RunExists, RunNotFound, RunEnded, InvalidRun, TooLarge)
"""What beginning a run raises whatever a producer swallows: the caller asked for what cannot be. The rest is
the ledger's own trouble, and no reason to fail a job."""


class Created(NamedTuple):
    """A run that was asked for: ``appended`` is False when the same run was there already."""

    run_id: str
    receipt: Receipt
    appended: bool


class News(NamedTuple):
    """What others may have done to a run: its status and version, and whether it is asked to stop."""

    status: str
    version: int
    cancel_requested: bool
    reason: str | None = None


class Sink(Protocol):
    """What a producer needs of a ledger. Whatever hinders it for now is raised as Unavailable."""

    @property
    def owner(self) -> str:
        """Name of this process as an owner of runs."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since the epoch."""
        ...

    @property
    def answers_may_get_lost(self) -> bool:
        """Whether an append that raised Unavailable may have been stored all the same."""
        ...

    async def create(self, spec: RunSpec, *, run_id: str | None = None, queued: bool = False) -> Created:
        """Begin a run. Raises InvalidRun, TooLarge, RunExists, SlotTaken or Unavailable."""
        ...

    async def append(
        self, run_id: str, events: Sequence[Payload | Draft], *, expected_version: int | None = None
    ) -> Accepted:
        """Append all events to a run, or nothing. Raises what :meth:`.Ledger.append` raises."""
        ...

    async def look(self, since: Mapping[str, int]) -> dict[str, News]:
        """Of the runs that moved beyond the version given, what is new. Runs that are gone are absent."""
        ...
