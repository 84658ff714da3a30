"""The one task that keeps the fold up with the log.

Commits of this process are folded before their receipts; those of other processes are noticed and read
from the log. Active runs are in memory; ended ones are kept beside the log and come back when asked for.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import anyio

from progress_ledger.ledger.errors import Closed, LedgerError, Pruned, Unavailable
from progress_ledger.ledger.events import ACTIVE, Event
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Commit, Recorded, RunFilter
from progress_ledger.ledger.times import parse_time

from .histories import Histories
from .history import Prior
from .parts import fold_from_zero
from .past import Page, Past, Point, bare_state, point_at
from .projection import Follower, listens
from .saver import Saver
from .snapshot import Snapshot
from .state import RunState
from .states import Ends, States
from .store import StateStore
from .view import is_stalled, view

__all__ = ("Projector", "ProjectorStatistics")

_logger = logging.getLogger("progress_ledger.projections")

_PAGE = 1_000
_APART = 20_000
_POLL_SECONDS = 0.05
_RETRY_SECONDS = 1.0


class ProjectorStatistics(NamedTuple):
    """``position`` is how far the fold is, ``head`` the newest event known of, ``runs`` the states held."""

    position: int
    head: int
    runs: int


class Projector:
    """Run states as of the newest event, and their snapshots at any moment."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._log = ledger.log
        self._store = StateStore(ledger.log)
        self._saver = Saver(ledger.log, self._store)
        self._past = Past(ledger.log, self._store, self._prior)
        self._states = States()
        self._followers: tuple[Follower, ...] = ()
        self._waiters: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._head = 0
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(cls, ledger: Ledger) -> AsyncGenerator["Projector", None]:
        """A projector that is caught up, and stays so until left; what it folded is then kept.

        On a ledger that cannot be written nothing is kept, and all else works.
        Raises Unavailable when the log cannot be read.
        """
        projector = cls(ledger)
        with projector._folding():
            await projector._load()
        stop = ledger.listen(projector._on_commit)
        try:
            # What was committed while the rest was folded elsewhere; from here on nothing passes unseen.
            await projector._catch_up()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(projector._keep_up)
                tasks.start_soon(projector._keep_saved)
                try:
                    yield projector
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            stop()
            projector._close()
            with anyio.CancelScope(shield=True):
                await projector._saver.save(projector._states)

    @property
    def position(self) -> int:
        """The position of the last event folded."""
        return self._states.position

    @property
    def histories(self) -> Histories:
        """What past runs of each kind were like, as of :attr:`position`."""
        return self._states.histories

    @property
    def statistics(self) -> ProjectorStatistics:
        """Where the fold is."""
        return ProjectorStatistics(self.position, max(self._head, self.position), len(self._states))

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Tell ``follower`` of every event folded from now on. Returns what stops it."""
        self._followers = (*self._followers, follower)

        def stop() -> None:
            self._followers = tuple(one for one in self._followers if one is not follower)

        return stop

    async def caught_up(self) -> int:
        """Wait until every commit that any process had finished before the call is folded.

        Returns the position reached. Raises Unavailable when the log cannot be read.
        """
        if self._closed:
            raise Closed
        head = self._log.glance()
        if head is None or self.position < head:
            self._waiters.append(waiter := asyncio.get_running_loop().create_future())
            self._wake.set()
            await waiter
        return self.position

    def active(self) -> Iterable[RunState]:
        """The states of all active runs."""
        return self._states.active.values()

    def stalled(self, now: float | None = None) -> frozenset[str]:
        """Ids of the active runs that are stalled at ``now`` (the ledger's clock when not given)."""
        moment = self._ledger.clock() if now is None else now
        return frozenset(state.run_id for state in self.active() if is_stalled(state, moment))

    def peek(self, run_id: str) -> RunState | None:
        """The run's state when it is in memory, as every active run's is. Do not change it."""
        return self._states.get(run_id)

    async def state(self, run_id: str) -> RunState | None:
        """The run's state as of the newest event, or None when there is no such run. Do not change it."""
        return (await self.states((run_id,))).get(run_id)

    async def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The states of those runs that exist, in the order asked for."""
        await self.caught_up()
        found = {run_id: self._states.get(run_id) for run_id in run_ids}
        missing = [run_id for run_id, state in found.items() if state is None]
        if missing:
            found.update(await self._fetch(missing))
        return {run_id: state for run_id, state in found.items() if state is not None}

    async def snapshot(self, run_id: str, *, now: float | None = None) -> Snapshot | None:
        """The run at ``now``, or None when there is no such run."""
        return (await self.snapshots((run_id,), now=now)).get(run_id)

    async def snapshots(self, run_ids: Sequence[str], *, now: float | None = None) -> dict[str, Snapshot]:
        """The runs that exist, at ``now`` (the ledger's clock when not given), in the order asked for."""
        found = await self.states(run_ids)
        moment = self._ledger.clock() if now is None else now
        return {run_id: self.look(state, moment) for run_id, state in found.items()}

    def look(self, state: RunState, now: float) -> Snapshot:
        """What a state of this projector looks like at ``now``, its active children taken into account."""
        return self._states.family.view(state, now, self._states.active)

    async def snapshot_at(
        self, run_id: str, *, version: int | None = None, position: int | None = None, time: str | None = None
    ) -> Snapshot:
        """The run as it was at a version, a position of the log, or a time (RFC 3339 with a zone).

        Raises RunNotFound when there is no such run or it had not begun, Pruned, and ValueError for
        a time that is none.
        """
        point = point_at(version, position, time)
        state = await self._past.state_at(run_id, point)
        return view(state, parse_time(await self._past.moment(state, point)))

    async def state_at(
        self, run_id: str, *, version: int | None = None, position: int | None = None, time: str | None = None
    ) -> RunState:
        """The state behind :meth:`snapshot_at`, folded afresh: the caller's own, to go on with."""
        return await self._past.state_at(run_id, point_at(version, position, time))

    async def rebuild(self) -> int:
        """Fold the whole log again from zero, while the old states keep serving; then take their place.

        Whatever is committed meanwhile is in both. Returns the position up to which it was folded.
        """
        gone = self.histories.ends()
        fresh = await fold_from_zero(self._log, self.position, keep=self._saver.keep, gone=gone)
        while fresh.position < self.position:
            # The old states are the measure: what they have not folded yet is folded once, into the new ones.
            rest = await self._fold_apart(fresh, self.position, gone)
            fresh.fold_whole(rest, gone=gone)
            await self._saver.relieve(fresh, checkpoint=False)
        # No await between the last look at the position and this.
        fresh.saved = 0
        self._states = fresh
        await self._drop_pruned()
        return fresh.position

    # ── keeping up ──────────────────────────────────────────────────────────────────────────────────────

    async def _load(self) -> None:
        position, through = await self._store.checkpoint(), await self._log.head()
        states = self._states = States(position)
        if position:
            await states.histories.load(self._log)
            after: int | None = None
            while True:
                page = await self._log.runs(
                    RunFilter(statuses=ACTIVE), order="created", after=after, limit=_PAGE
                )
                heads = [head for head in page.runs if head.first <= position]
                kept = await self._store.load([head.run_id for head in heads])
                for head in heads:
                    state = kept.get(head.run_id)
                    if state is None or (head.last <= position and state.version != head.version):
                        state = await self._past.state_at(head.run_id, Point(position=position))
                    if state.status in ACTIVE:
                        states.bring(state)
                after = page.next
                if after is None:
                    break
        else:
            states = self._states = await fold_from_zero(self._log, through, keep=self._saver.keep)
        while states.position < through:
            rest = await self._fold_apart(states, through)
            if rest:
                await self._fold_rest(rest)
            await self._saver.relieve(states)
        await self._drop_pruned()

    def _on_commit(self, commit: Commit) -> None:
        states = self._states
        self._head = max(self._head, commit.events[-1].event.position)
        if commit.after == states.position:
            for recorded in commit.events:
                state = states.fold(recorded.event)
                if state is None:
                    break
                self._tell(recorded, state)
            self._settle()
        if states.position < self._head:
            self._wake.set()

    async def _keep_up(self) -> None:
        pause = _POLL_SECONDS
        while True:
            with anyio.move_on_after(pause):
                await self._wake.wait()
            self._wake.clear()
            waiters, self._waiters = self._waiters, []
            try:
                moved = await self._catch_up()
            except LedgerError as error:
                pause = _RETRY_SECONDS
                _fail(waiters, error)
            except BaseException:
                _fail(waiters, Closed())
                raise
            else:
                pause = _POLL_SECONDS / 10 if moved else _POLL_SECONDS  # little waits while others write
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)

    async def _catch_up(self) -> bool:
        head = await self._log.head()
        self._head = max(self._head, head)
        if behind := self.position < head:
            with self._folding():
                await self._fold_up_to(head)
        return behind

    @contextmanager
    def _folding(self) -> Generator[None, None, None]:
        try:
            yield
        except LedgerError:
            raise
        except Exception as error:
            # Damage, or a bug of the fold, does not end the task that keeps up: whoever reads is told.
            _logger.exception("the fold stands still at position %d", self.position)
            raise Unavailable(
                f"The log cannot be folded beyond position {self.position} ({error!r}); run verify."
            ) from error

    async def _fold_up_to(self, head: int) -> None:
        pruned = False
        while self.position < head:
            page = await self._log.read(self.position, limit=_PAGE)
            if not page:
                # The newest positions were deleted; nothing will ever appear there.
                self._states.position = max(self.position, head)
                break
            pruned = pruned or any(body is None for _, body in page)
            await self._fold_rest(page)
            self._settle()
            await self._saver.make_room(self._states)
        if pruned:
            await self._drop_pruned()

    async def _fold_rest(self, page: Page) -> None:
        """Fold a page whose runs may have to be brought here first."""
        start, without = 0, set[str]()
        while True:
            tell = self._tell if any(map(listens, self._followers)) else None
            if (start := self._states.fold_page(page, start, tell=tell, without=without)) == len(page):
                return
            states, lost = await self._past.before(page[start:], self._states.active)
            for state in states:
                self._states.bring(state)
            without |= lost

    async def _fold_apart(self, states: States, through: int, gone: Ends | None = None) -> Page:
        """Fold a good many events into states that nobody else looks at yet, where the log is read.

        Returns what is left of a page when it needs runs that are not here. On a thread of its own the fold
        does not pass every row from one processor to another, which costs as much as the fold.
        """
        rest: list[tuple[int, bytes | None]] = []

        def visit(page: Page) -> bool:
            stopped = states.fold_page(page, gone=gone or {})
            rest.extend(page[stopped:])
            return not rest

        before = states.position
        await self._log.scan(before, through=through, limit=_APART, visit=visit)
        if states.position == before and not rest:
            # The newest positions were deleted; nothing will ever appear there.
            states.position = through
        return rest

    async def _drop_pruned(self) -> None:
        # A run that another process ended and pruned before its end was folded here would stay active.
        heads = await self._log.runs_by_id(list(self._states.active))
        for head in heads.values():
            if not head.active and head.last <= self.position:
                self._states.drop(head.run_id)

    def _tell(self, recorded: Recorded, state: RunState) -> None:
        for follower in self._followers:
            try:
                follower.folded(recorded, state)
            except Exception:
                _logger.exception("a follower failed on position %d", recorded.event.position)

    def _settle(self) -> None:
        for follower in self._followers:
            try:
                follower.settled()
            except Exception:
                _logger.exception("a follower failed at position %d", self.position)
        self._saver.look_at(self._states)

    async def _fetch(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        heads = await self._log.runs_by_id(run_ids)
        kept = await self._store.load(list(heads))
        found: dict[str, RunState] = {}
        for run_id, head in heads.items():
            state = self._states.get(run_id) or kept.get(run_id)
            if state is None or state.version < head.version:
                try:
                    state = await self._past.state_at(run_id, Point())
                except Pruned:
                    state = state or bare_state(head)
            found[run_id] = state
        self._states.keep(state for state in found.values() if state.status not in ACTIVE)
        return found

    def _prior(self, first: Event) -> Prior | None:
        state = self._states.get(first.run_id)
        return self.histories.prior(first) if state is None else state.prior

    def _close(self) -> None:
        self._closed = True
        waiters, self._waiters = self._waiters, []
        _fail(waiters, Closed())

    async def _keep_saved(self) -> None:
        while True:
            await self._saver.wait()
            with anyio.CancelScope(shield=True):
                await self._saver.save(self._states)


def _fail(waiters: Iterable[asyncio.Future[None]], error: LedgerError) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)
