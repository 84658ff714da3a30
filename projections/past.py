"""A run as it was: its state at an earlier version, position or time, folded from the nearest state kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from progress_ledger.ledger.codec import decode
from progress_ledger.ledger.errors import Pruned, RunNotFound
from progress_ledger.ledger.events import ACTIVE, Event
from progress_ledger.ledger.log import EventLog, RunHead
from progress_ledger.ledger.times import normalise_time

from .history import Prior
from .run import apply
from .state import RunState
from .states import States
from .store import MARK_EVERY, StateStore

__all__ = ("Page", "Past", "Point", "bare_state", "point_at")

Page: TypeAlias = Sequence[tuple[int, bytes | None]]
"""Positions and stored bodies, as an engine reads them."""

_PAGE = 1_000


class Point(NamedTuple):
    """How far to go: to a version, a position or a time; None is no bound, and all given ones hold."""

    version: int | None = None
    position: int | None = None
    time: str | None = None

    def before(self, version: int, position: int, time: str) -> bool:
        """Whether the point lies before an event of that version, position and time."""
        return (
            (self.version is not None and version > self.version)
            or (self.position is not None and position > self.position)
            or (self.time is not None and time > self.time)
        )


def point_at(version: int | None, position: int | None, time: str | None) -> Point:
    """The point; ``time`` is RFC 3339 with a zone. Raises ValueError for a time that is none."""
    return Point(version, position, None if time is None else normalise_time(time))


class Past:
    """Reads runs' states at earlier points. ``prior`` says what history told a run at its first event."""

    def __init__(self, log: EventLog, store: StateStore, prior: Callable[[Event], Prior | None]) -> None:
        self._log = log
        self._store = store
        self._prior = prior

    async def state_at(self, run_id: str, point: Point) -> RunState:
        """The state after the last event that is not beyond ``point``.

        Raises RunNotFound when there is no such run or it had not begun, and Pruned.
        """
        head = await self._log.run(run_id)
        if head is None:
            raise RunNotFound(run_id)
        state = None if head.version < MARK_EVERY else await self._mark(head, point)
        after = 0 if state is None else state.version
        while page := await self._log.read_run(run_id, after=after, limit=_PAGE):
            for position, body in page:
                if body is None:
                    continue
                event = decode(body, position)
                if point.before(event.version, position, event.time):
                    if state is None:
                        raise RunNotFound(run_id)
                    return state
                if state is None:
                    state = apply(None, event, await self._prior_of(event))
                else:
                    apply(state, event)
            after += len(page)
        if state is None:
            raise RunNotFound(run_id)
        return state

    async def moment(self, state: RunState, point: Point) -> str:
        """The time at ``point``, which may be later than the newest event of the ``state`` found there."""
        if point.time is not None:
            return point.time
        time = state.updated_at
        if point.position is not None and point.position > state.position:
            position = min(point.position, await self._log.head())
            for at, body in await self._log.read(position - 1, limit=1):
                if at == position and body is not None:
                    time = max(time, decode(body, at).time)
        return time

    async def before(self, page: Page, active: Mapping[str, RunState]) -> tuple[list[RunState], set[str]]:
        """The states that ``page`` goes on from and that are not ``active``, or lie behind there.

        Second the runs that have none any more: they were pruned.
        """
        versions: dict[str, int] = {}
        for position, body in page:
            if body is not None:
                event = decode(body, position)
                versions.setdefault(event.run_id, event.version - 1)
        wanted = {
            run_id: version
            for run_id, version in versions.items()
            if version and (run_id not in active or active[run_id].version < version)
        }
        kept = await self._store.load(list(wanted))
        found: list[RunState] = []
        lost: set[str] = set()
        for run_id, version in wanted.items():
            state = kept.get(run_id)
            try:
                if state is None or state.version != version:
                    state = await self.state_at(run_id, Point(version=version))
            except (Pruned, RunNotFound):
                state = None
            if state is None or state.version != version:
                lost.add(run_id)
            else:
                found.append(state)
        return found, lost

    async def newest(self, run_ids: Sequence[str], states: States) -> dict[str, RunState]:
        """The states, as of the newest event, of those runs that exist: of ended ones that left ``states``.

        They are there again on return, with others' latest. Raises Unavailable.
        """
        heads = await self._log.runs_by_id(run_ids)
        kept = await self._store.load(list(heads))
        found: dict[str, RunState] = {}
        for run_id, head in heads.items():
            if head.first > states.position:
                continue  # it began after whoever asks looked at the log
            state = states.get(run_id) or kept.get(run_id)
            if state is None or state.version < head.version:
                try:
                    state = await self.state_at(run_id, Point())
                except Pruned:
                    state = state or bare_state(head)
            found[run_id] = state
        states.keep(
            state
            for state in found.values()
            if state.status not in ACTIVE and state.position <= states.position
        )
        return found

    async def _mark(self, head: RunHead, point: Point) -> RunState | None:
        newest = head.version if point.version is None else min(head.version, point.version)
        found: RunState | None = None
        low, high = 0, newest // MARK_EVERY
        while low < high:
            middle = (low + high + 1) // 2
            state = await self._store.mark(head.run_id, middle * MARK_EVERY)
            # One that is lost counts as too late: the fold then begins earlier, and ends up the same.
            if state is None or point.before(state.version, state.position, state.updated_at):
                high = middle - 1
            else:
                low, found = middle, state
        return found

    async def _prior_of(self, first: Event) -> Prior | None:
        kept = (await self._store.load((first.run_id,))).get(first.run_id)
        return self._prior(first) if kept is None else kept.prior


def bare_state(head: RunHead) -> RunState:
    """What is still known of a run whose events and state are both gone."""
    ended = None if head.active else head.time
    return RunState(
        run_id=head.run_id,
        kind=head.kind,
        scope=head.scope,
        title=head.title,
        labels=head.labels,
        slot=head.slot,
        owner=head.owner,
        parent=head.parent,
        attempt=head.attempt,
        status=head.status,
        updated_at=head.time,
        finished_at=ended,
        clock=head.time,
        first=head.first,
        version=head.version,
        position=head.last,
    )
