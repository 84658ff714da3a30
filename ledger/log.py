"""What an engine of the log must do, and the words it does it in.

An engine keeps events in one total order and refuses what breaks the rules of :mod:`.batch`. The
properties every engine has, whatever it is made of (one suite of tests states them for all):

* a reader that has seen position *n* never later meets a position ≤ *n*; positions may have holes;
* versions of a run are 1, 2, 3 … without a hole;
* an accepted request is durable when :meth:`EventLog.commit` returns; a refused one left nothing;
* two engines on one log refuse each other's conflicts like one.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from .door import Draft
from .errors import LedgerError
from .events import ACTIVE, Event
from .pattern import fits

__all__ = (
    "Accepted",
    "Append",
    "Commit",
    "Described",
    "Document",
    "EventLog",
    "Receipt",
    "Recorded",
    "RunFilter",
    "RunHead",
    "RunPage",
    "SCAN_PAGE",
    "Stored",
    "Visit",
)


# None of these can be part of a cycle, and a busy log makes them by the hundred thousand: the cycle collector
# need not look at them.


class Receipt(Struct, frozen=True, gc=False):
    """Where an accepted event is: its ``position`` in the log and its ``version`` in the run."""

    position: int
    version: int


class Stored(NamedTuple):
    """An event as it lies in the log: ``position`` and stored ``body``; None once it was pruned."""

    position: int
    body: bytes | None


class Recorded(Struct, frozen=True, gc=False):
    """An event just committed: its stored ``body`` and the same read as :class:`~.events.Event`."""

    body: bytes
    event: Event


class Append(Struct, kw_only=True, gc=False):
    """A request: all of ``drafts`` on one run, or nothing.

    ``expected_version`` None asks for none, 0 for a run that does not exist. With ``create`` the one
    draft is a run's first event, and the same spec on the same run again is answered like the first time.
    """

    run_id: str
    drafts: Sequence[Draft]
    expected_version: int | None = None
    create: bool = False


class Accepted(Struct, kw_only=True, gc=False):
    """What became of a request: a receipt for each draft; ``appended`` counts the new ones."""

    receipts: list[Receipt]
    appended: int


class RunHead(Struct, kw_only=True, gc=False):
    """What the log knows of a run without reading its events.

    ``number`` grows in order of creation. ``first`` and ``last`` are positions, ``time`` is that of the last
    event.
    """

    number: int
    run_id: str
    kind: str
    scope: str | None
    title: str | None
    parent: str | None
    owner: str | None
    slot: str | None
    lease_seconds: float | None
    attempt: int
    labels: dict[str, str]
    status: str
    version: int
    first: int
    last: int
    time: str
    pruned: str | None = None

    @property
    def active(self) -> bool:
        """Whether the run can still take events."""
        return self.status in ACTIVE


class Commit(NamedTuple):
    """The outcome of :meth:`EventLog.commit`: one per request, in order, and the events that are new.

    ``after`` is the position of the newest event before them, whichever process appended it; ``heads``
    are those of the runs that moved, as they are after the commit.
    """

    after: int
    outcomes: list[Accepted | LedgerError]
    events: list[Recorded]
    heads: dict[str, RunHead]


class Described(Protocol):
    """What a filter looks at."""

    run_id: str
    kind: str
    scope: str | None
    title: str | None
    parent: str | None
    slot: str | None
    labels: dict[str, str]
    status: str


class RunFilter(Struct, kw_only=True, frozen=True):
    """Which runs: fields left None or empty do not filter; all that are given must hold.

    ``kind_pattern`` is as in :mod:`.pattern`. ``q`` looks for a text in run id, kind, scope and title,
    whatever its case.
    """

    kinds: frozenset[str] | None = None
    kind_pattern: str | None = None
    kind: str | None = None
    scope: str | None = None
    statuses: frozenset[str] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    parent: str | None = None
    slot: str | None = None
    run_ids: frozenset[str] | None = None
    q: str | None = None

    def matches(self, head: Described) -> bool:
        """Whether the run so described (a head, or a projection's state) is one of them."""
        return (
            (self.kind is None or head.kind == self.kind)
            and (self.scope is None or head.scope == self.scope)
            and (self.statuses is None or head.status in self.statuses)
            and (self.parent is None or head.parent == self.parent)
            and (self.slot is None or head.slot == self.slot)
            and (self.run_ids is None or head.run_id in self.run_ids)
            and all(head.labels.get(key) == value for key, value in self.labels)
            and (self.kinds is None or head.kind in self.kinds)
            and (self.kind_pattern is None or fits(self.kind_pattern, head.kind))
            and (self.q is None or self._found(head, self.q.casefold()))
        )

    @staticmethod
    def _found(head: Described, text: str) -> bool:
        return any(
            value is not None and text in value.casefold()
            for value in (head.run_id, head.kind, head.scope, head.title)
        )


class RunPage(NamedTuple):
    """Some runs in the order asked for; ``next`` is where to go on, None at the end."""

    runs: list[RunHead]
    next: int | None


class Document(NamedTuple):
    """A projection's derived bytes for one key, as of a position."""

    key: str
    position: int
    value: bytes


SCAN_PAGE = 1_000
"""Events of one page of a scan."""

Visit: TypeAlias = Callable[[Sequence[tuple[int, bytes | None]]], bool]
"""Takes a page of events, positions and stored bodies; says whether it wants more."""


class EventLog(Protocol):
    """An engine. Only :meth:`commit` changes facts; documents are derived and may be lost."""

    @property
    def epoch(self) -> str:
        """The log's random id, made when it was created."""
        ...

    async def commit(self, requests: Sequence[Append], *, now: float) -> Commit:
        """Append what the rules allow, all in one transaction; durable when this returns.

        ``now`` is the clock, in seconds since the epoch. Cancellation during the call must not leave
        half a request. Raises Unavailable when nothing of any request was stored.
        """
        ...

    async def head(self) -> int:
        """Position of the newest event any process has committed; 0 when the log is empty."""
        ...

    def glance(self) -> int | None:
        """What :meth:`head` says, where that takes a few microseconds and no waiting; else None."""
        ...

    async def read(self, after: int, *, limit: int) -> Sequence[tuple[int, bytes | None]]:
        """Position and stored body of events after ``after``, oldest first, at most ``limit``.

        Plain tuples in the shape of :class:`Stored`.
        """
        ...

    async def scan(self, after: int, *, through: int, limit: int, visit: Visit) -> None:
        """Hand the events after ``after`` and up to ``through`` to ``visit``, oldest first, in pages.

        Ends after ``limit`` events or when ``visit`` returns False. It is called where the events are read,
        on another thread where the engine has one: a rebuild takes millions that way, and what it works on
        is its own until the scan is over. What ``visit`` raises ends the scan and comes out of it.
        """
        ...

    async def read_run(self, run_id: str, *, after: int = 0, limit: int) -> list[Stored]:
        """A run's events with a version > ``after``, oldest first, at most ``limit``."""
        ...

    async def run(self, run_id: str) -> RunHead | None:
        """The run's head, or None."""
        ...

    async def runs_by_id(self, run_ids: Iterable[str], *, children: int = 0) -> dict[str, RunHead]:
        """The heads of those that exist, read at one moment.

        With ``children`` there are also those of their active children, at most so many.
        """
        ...

    async def runs(
        self,
        where: RunFilter,
        *,
        order: Literal["created", "-created"] = "-created",
        after: int | None = None,
        limit: int = 100,
    ) -> RunPage:
        """Runs in order of creation, beyond the run numbered ``after``."""
        ...

    async def count_runs(self, where: RunFilter) -> dict[str, int]:
        """How many of those runs are in each status."""
        ...

    async def save_documents(
        self, space: str, documents: Sequence[Document], *, checkpoint: int | None = None
    ) -> None:
        """Keep derived bytes, newest position wins, and move the space's checkpoint up to ``checkpoint``."""
        ...

    async def load_documents(self, space: str, keys: Sequence[str] | None = None) -> list[Document]:
        """Those of the keys that are kept; all of a space when ``keys`` is None."""
        ...

    async def checkpoint(self, space: str) -> int:
        """The position up to which the space's documents hold everything; 0 at first."""
        ...

    async def clear_documents(self, space: str) -> None:
        """Forget a space, so that it is built again from zero."""
        ...

    async def close(self) -> None:
        """Let go of everything; further calls raise Closed."""
        ...
