"""The one task that keeps the fold up with the log.

Commits of this process are folded before their receipts; those of other processes are noticed and read
from the log. Active runs are in memory; ended ones are kept beside the log and come back when asked for.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from typing import NamedTuple

import anyio

from progress_ledger.ledger.errors import Closed, LedgerError, Unavailable
from progress_ledger.ledger.events import ACTIVE, Event
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Commit, RunFilter
from progress_ledger.ledger.times import parse_time

from .ahead import Ahead
from .apart import fold_apart
from .callers import Caller, Callers
from .histories import Histories
from .history import Prior
from .parts import fold_from_zero
from .past import Page, Past, Point, point_at
from .projection import Follower, Followers
from .saver import Saver
from .snapshot import Snapshot
from .state import RunState
from .states import States
from .store import StateStore
from .view import is_stalled, view

__all__ = ("Projector", "ProjectorStatistics")

_logger = logging.getLogger("progress_ledger.projections")

_PAGE = 500
_SLICE_SECONDS = 0.001
_SLICE_STEP = 50
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
        self._followers = Followers()
        self._callers = Callers()
        self._ahead = Ahead(ledger.log)
        self._rest: Page = ()
        self._pruned = False
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
            await projector._look(())
            while projector.position < projector._head:
                with projector._folding():
                    await projector._fold_slice()
                await projector._saver.make_room(projector._states)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(projector._keep_up)
                tasks.start_soon(projector._keep_saved)
                try:
                    yield projector
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            stop()
            projector._closed = True
            projector._callers.fail(Closed(), projector._callers.take())
            with anyio.CancelScope(shield=True):
                await projector._saver.save(projector._states)

    @property
    def position(self) -> int:
        """The position of the last event folded."""
        return self._states.position

    @property
    def ahead(self) -> bool:
        """Whether :meth:`newest` shows a run further than :attr:`position`."""
        return bool(self._ahead.beyond(self.position))

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
        return self._followers.add(follower)

    async def caught_up(self, run_ids: Iterable[str] | None = None) -> int:
        """Wait until every commit that any process had finished before the call is folded.

        With ``run_ids`` it is enough that :meth:`newest` shows all of these runs and their active children,
        which is sooner when much is behind. Returns the position reached.
        Raises Unavailable when the log cannot be read.
        """
        if self._closed:
            raise Closed
        head = self._log.glance()
        if head is None or self.position < head:
            answered = self._callers.come(run_ids)
            self._wake.set()
            await answered
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

    def newest(self, run_id: str) -> RunState | None:
        """As :meth:`peek`, and ahead of :attr:`position` when :meth:`caught_up` was asked for the run."""
        return self._ahead.beyond(self.position).get(run_id) or self._states.get(run_id)

    async def state(self, run_id: str) -> RunState | None:
        """The run's state as of the newest event, or None when there is no such run. Do not change it."""
        return (await self.states((run_id,))).get(run_id)

    async def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The states of those runs that exist, in the order asked for."""
        await self.caught_up(run_ids)
        found = {run_id: self.newest(run_id) for run_id in run_ids}
        missing = [run_id for run_id, state in found.items() if state is None]
        if missing:
            found.update(await self._past.newest(missing, self._states))
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
        return self._states.family.view(state, now, self._ahead.over(self._states))

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
            rest = await fold_apart(self._log, fresh, self.position, gone=gone)
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
            rest = await fold_apart(self._log, states, through)
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
                self._followers.tell(recorded, state)
            self._settle()
        if states.position < self._head:
            self._wake.set()

    async def _keep_up(self) -> None:
        pause = _POLL_SECONDS
        while True:
            if pause:
                with anyio.move_on_after(pause):
                    await self._wake.wait()
            else:
                # Between two slices the loop reads what has come in, and then begins to answer it.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            self._wake.clear()
            callers = self._callers.take()
            pause = 0.0
            try:
                if callers or self.position >= self._head:
                    await self._look(callers)
                if self.position >= self._head:
                    pause = _POLL_SECONDS
                elif self._saver.crowded(self._states):
                    pause = _POLL_SECONDS / 10
                else:
                    with self._folding():
                        await self._fold_slice()
                    if self.position >= self._head:
                        pause = _POLL_SECONDS / 10  # little waits while others write
            except LedgerError as error:
                pause = _RETRY_SECONDS
                self._callers.fail(error, callers)
            except BaseException:
                self._callers.fail(Closed(), callers)
                raise

    async def _look(self, callers: Sequence[Caller]) -> None:
        """Look at the log for those who came before: who can be answered is, the others wait for the fold."""
        self._head = max(self._head, head := await self._log.head())
        needed: dict[str, int] = {}
        if self.position < head and (run_ids := {one for caller in callers for one in caller.runs or ()}):
            with self._folding():
                needed = await self._ahead.reach(run_ids, self._states, head)
        self._callers.place(callers, fold=self.position, head=head, needed=needed)

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

    async def _fold_slice(self) -> None:
        """Fold some of what is behind: as much as keeps nobody waiting for the loop."""
        rest, self._rest = self._rest or await self._log.read(self.position, limit=_PAGE), ()
        if not rest:
            # The newest positions were deleted; nothing will ever appear there.
            self._states.position = max(self.position, self._head)
        start, until = 0, perf_counter() + _SLICE_SECONDS
        while start < len(rest) and (not start or perf_counter() < until):
            some = rest[start : start + _SLICE_STEP]
            self._pruned = self._pruned or any(body is None for _, body in some)
            await self._fold_rest(some)
            start += len(some)
        self._rest = rest[start:]
        self._settle()
        if self._pruned and (self.position >= self._head or self._callers.waits(self.position)):
            await self._drop_pruned()
            self._pruned = False
        self._callers.reached(self.position)

    async def _fold_rest(self, page: Page) -> None:
        """Fold a page whose runs may have to be brought here first."""
        start, without = 0, set[str]()
        while True:
            tell = self._followers.tell if self._followers.listen else None
            if (start := self._states.fold_page(page, start, tell=tell, without=without)) == len(page):
                return
            states, lost = await self._past.before(page[start:], self._states.active)
            for state in states:
                self._states.bring(state)
            without |= lost

    async def _drop_pruned(self) -> None:
        # A run that another process ended and pruned before its end was folded here would stay active.
        heads = await self._log.runs_by_id(list(self._states.active))
        for head in heads.values():
            if not head.active and head.last <= self.position:
                self._states.drop(head.run_id)

    def _settle(self) -> None:
        self._followers.settle(self.position)
        self._saver.look_at(self._states)

    def _prior(self, first: Event) -> Prior | None:
        state = self._states.get(first.run_id)
        return self.histories.prior(first) if state is None else state.prior

    async def _keep_saved(self) -> None:
        while True:
            await self._saver.wait()
            with anyio.CancelScope(shield=True):
                await self._saver.save(self._states, gently=True)
