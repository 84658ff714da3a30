"""The one task that keeps the fold up with the log.

Commits of this process are folded before their receipts; those of other processes are noticed and read
from the log. Active runs are in memory; ended ones are kept beside the log and come back when asked for.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio

from progress_ledger.ledger import codec
from progress_ledger.ledger.errors import LedgerError, RunNotFound
from progress_ledger.ledger.events import ACTIVE, TERMINAL, Event
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Commit, Recorded, RunFilter
from progress_ledger.ledger.times import parse_time

from .family import Family
from .histories import Histories
from .projection import Follower
from .run import RunState, apply
from .snapshot import Snapshot
from .store import StateStore
from .view import is_stalled, view

__all__ = ("Projector", "ProjectorStatistics")

_logger = logging.getLogger("progress_ledger.projections")

_PAGE = 1_000
_POLL_SECONDS = 0.05
_PERSIST_SECONDS = 2.0
_ENDED_KEPT = 2_000
_UNSAVED_ENDED = 2_000


class ProjectorStatistics(NamedTuple):
    """``position`` is how far the fold is, ``head`` the newest event known of, ``runs`` the states in memory."""

    position: int
    head: int
    runs: int


class Projector:
    """Run states as of the newest event, and their snapshots at any moment."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._log = ledger.log
        self._store = StateStore(ledger.log)
        self._family = Family()
        self.histories = Histories()
        self._states: dict[str, RunState] = {}
        self._ended: OrderedDict[str, RunState] = OrderedDict()
        self._unsaved: dict[str, RunState] = {}
        self._followers: list[Follower] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._head = 0
        self.position = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, ledger: Ledger) -> AsyncIterator["Projector"]:
        """A projector that is caught up, and stays so until left; what it folded is then kept.

        Raises Unavailable when the log cannot be read.
        """
        projector = cls(ledger)
        stop = ledger.listen(projector._on_commit)
        try:
            await projector._load()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(projector._keep_up)
                tasks.start_soon(projector._keep_saved)
                try:
                    yield projector
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            stop()
            with anyio.CancelScope(shield=True):
                await projector._save()

    @property
    def statistics(self) -> ProjectorStatistics:
        """Where the fold is."""
        return ProjectorStatistics(self.position, max(self._head, self.position), len(self._states))

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Tell ``follower`` of every event folded from now on. Returns what stops it."""
        self._followers.append(follower)

        def stop() -> None:
            if follower in self._followers:
                self._followers.remove(follower)

        return stop

    async def caught_up(self) -> int:
        """Wait until every commit that any process had finished before the call is folded.

        Returns the position reached. Raises Unavailable when the log cannot be read.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wake.set()
        await waiter
        return self.position

    def active(self) -> Iterable[RunState]:
        """The states of all active runs."""
        return self._states.values()

    def stalled(self, now: float | None = None) -> frozenset[str]:
        """Ids of the active runs that are stalled at ``now`` (the ledger's clock when not given)."""
        moment = self._ledger.clock() if now is None else now
        return frozenset(state.run_id for state in self._states.values() if is_stalled(state, moment))

    def peek(self, run_id: str) -> RunState | None:
        """The run's state when it is in memory, as every active run's is. Do not change it."""
        return self._states.get(run_id) or self._ended.get(run_id)

    async def state(self, run_id: str) -> RunState | None:
        """The run's state as of the newest event, or None when there is no such run. Do not change it."""
        return (await self.states((run_id,))).get(run_id)

    async def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The states of those runs that exist, in the order asked for."""
        await self.caught_up()
        missing = [run_id for run_id in run_ids if run_id not in self._states and run_id not in self._ended]
        if missing:
            await self._fetch(missing)
        found: dict[str, RunState] = {}
        for run_id in run_ids:
            state = self._states.get(run_id) or self._ended.get(run_id)
            if state is not None:
                found[run_id] = state
        return found

    async def snapshot(self, run_id: str, *, now: float | None = None) -> Snapshot | None:
        """The run at ``now``, or None when there is no such run."""
        return (await self.snapshots((run_id,), now=now)).get(run_id)

    async def snapshots(self, run_ids: Sequence[str], *, now: float | None = None) -> dict[str, Snapshot]:
        """The runs that exist, at ``now`` (the ledger's clock when not given), in the order asked for."""
        states = await self.states(run_ids)
        moment = self._ledger.clock() if now is None else now
        return {run_id: self._family.view(state, moment, self._states) for run_id, state in states.items()}

    async def snapshot_at(
        self, run_id: str, *, version: int | None = None, position: int | None = None, time: str | None = None
    ) -> Snapshot:
        """The run as it was at a version, a position of the log, or a time.

        Raises RunNotFound when there is no such run or it had not begun, and Pruned.
        """
        state = await self.state_at(run_id, version=version, position=position, time=time)
        return view(state, parse_time(state.updated_at if time is None else time))

    async def state_at(
        self, run_id: str, *, version: int | None = None, position: int | None = None, time: str | None = None
    ) -> RunState:
        """The state behind :meth:`snapshot_at`: a fresh fold of the run's events up to that point."""
        state: RunState | None = None
        after = 0
        while page := await self._log.read_run(run_id, after=after, limit=_PAGE):
            for stored in page:
                assert stored.body is not None
                event = codec.decode(stored.body, stored.position)
                if (
                    (version is not None and event.version > version)
                    or (position is not None and event.position > position)
                    or (time is not None and event.time > time)
                ):
                    if state is None:
                        raise RunNotFound(run_id)
                    return state
                if state is None:
                    kept = self.peek(run_id) or (await self._store.load((run_id,))).get(run_id)
                    prior = self.histories.prior(event) if kept is None else kept.prior
                    state = apply(None, event, prior)
                else:
                    state = apply(state, event)
            after += len(page)
        if state is None:
            raise RunNotFound(run_id)
        return state

    async def rebuild(self) -> int:
        """Fold the whole log again from zero, while the old states keep serving; then take their place.

        Returns the number of events folded.
        """
        states: dict[str, RunState] = {}
        histories = Histories()
        gone = self.histories.ends()
        count = position = 0
        while position < self.position or count == 0:
            page = await self._log.read(position, limit=_PAGE)
            if not page:
                break
            for at, body in page:
                if at > self.position:
                    break
                position = at
                count += 1
                if body is not None:
                    _fold_into(states, histories, codec.decode(body, at))
                elif at in gone:
                    histories.pruned(*gone[at])
        self._states = {state.run_id: state for state in states.values() if state.status in ACTIVE}
        self._ended = OrderedDict((state.run_id, state) for state in states.values() if state.status not in ACTIVE)
        self._unsaved = states
        self.histories = histories
        self._evict()
        return count

    # ── keeping up ──────────────────────────────────────────────────────────────────────────────────────

    async def _load(self) -> None:
        self.position = await self._store.checkpoint()
        if self.position:
            await self.histories.load(self._log)
            after: int | None = None
            while True:
                page = await self._log.runs(
                    RunFilter(statuses=ACTIVE), order="created", after=after, limit=_PAGE
                )
                run_ids = [head.run_id for head in page.runs if head.first <= self.position]
                self._states.update(await self._store.load(run_ids))
                after = page.next
                if after is None:
                    break
        self._family.rebuild(self._states)
        await self._catch_up(await self._log.head())

    def _on_commit(self, commit: Commit) -> None:
        self._head = max(self._head, commit.events[-1].event.position)
        if commit.after != self.position:
            self._wake.set()
            return
        for recorded in commit.events:
            if recorded.event.version > 1 and recorded.event.run_id not in self._states:
                self._wake.set()
                break
            self._fold(recorded)
        self._settle()

    async def _keep_up(self) -> None:
        while True:
            with anyio.move_on_after(_POLL_SECONDS):
                await self._wake.wait()
            self._wake.clear()
            waiters, self._waiters = self._waiters, []
            try:
                head = await self._log.head()
                if head > self.position:
                    await self._catch_up(head)
            except LedgerError as error:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_exception(error)
                if not waiters:
                    await anyio.sleep(1.0)
                continue
            except asyncio.CancelledError:
                for waiter in waiters:
                    waiter.cancel()
                raise
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def _catch_up(self, head: int) -> None:
        self._head = max(self._head, head)
        while self.position < head:
            page = await self._log.read(self.position, limit=_PAGE)
            if not page:
                return
            events: list[Recorded] = []
            strangers: dict[str, None] = {}
            for position, body in page:
                if body is None:
                    continue
                event = codec.decode(body, position)
                events.append(Recorded(body, event))
                if event.run_id not in self._states:
                    strangers[event.run_id] = None
            if strangers and self.position:
                for run_id, state in (await self._store.load(list(strangers))).items():
                    self._states.setdefault(run_id, state)
            for recorded in events:
                event = recorded.event
                if event.position <= self.position:
                    continue
                if event.version > 1 and event.run_id not in self._states:
                    # Its beginning is behind the checkpoint and its state was lost: fold it from its start.
                    self._states[event.run_id] = await self.state_at(event.run_id, version=event.version - 1)
                self._fold(recorded)
            self.position = max(self.position, page[-1][0])
            self._settle()
            if len(self._unsaved) > _UNSAVED_ENDED:
                await self._save_ended()

    def _fold(self, recorded: Recorded) -> None:
        event = recorded.event
        run_id = event.run_id
        state = _fold_into(self._states, self.histories, event)
        self._family.folded(state)
        self.position = event.position
        self._unsaved[run_id] = state
        if state.status not in ACTIVE:
            self._states.pop(run_id, None)
            self._ended[run_id] = state
        for follower in self._followers:
            try:
                follower.folded(recorded, state)
            except Exception:
                _logger.exception("a follower failed on position %d", event.position)

    def _settle(self) -> None:
        for follower in self._followers:
            try:
                follower.settled()
            except Exception:
                _logger.exception("a follower failed at position %d", self.position)
        self._evict()

    def _evict(self) -> None:
        spare = len(self._ended) - _ENDED_KEPT
        if spare > 0:
            for run_id in list(self._ended)[: spare + _ENDED_KEPT // 2]:
                if run_id not in self._unsaved:
                    del self._ended[run_id]

    async def _fetch(self, run_ids: Sequence[str]) -> None:
        heads = await self._log.runs_by_id(run_ids)
        kept = await self._store.load([run_id for run_id in run_ids if run_id in heads])
        for run_id, head in heads.items():
            if run_id in self._states or run_id in self._ended:
                continue
            state = kept.get(run_id)
            if state is None or (state.version != head.version and head.pruned is None):
                state = await self.state_at(run_id)
            if state.status not in ACTIVE:
                self._ended[run_id] = state
        self._evict()

    # ── keeping what is folded ──────────────────────────────────────────────────────────────────────────

    async def _keep_saved(self) -> None:
        while True:
            await anyio.sleep(_PERSIST_SECONDS)
            try:
                with anyio.CancelScope(shield=True):
                    await self._save()
            except LedgerError as error:
                _logger.warning("states could not be kept, the next start folds more: %s", error)

    async def _save(self) -> None:
        unsaved, self._unsaved = self._unsaved, {}
        position = self.position
        if not unsaved:
            return
        try:
            await self.histories.save(self._log)
            await self._store.save(unsaved.values(), checkpoint=position)
        except BaseException:
            self._unsaved = unsaved | self._unsaved
            raise
        self._evict()

    async def _save_ended(self) -> None:
        ended = {run_id: state for run_id, state in self._unsaved.items() if state.status not in ACTIVE}
        await self._store.save(ended.values(), checkpoint=None)
        for run_id in ended:
            self._unsaved.pop(run_id, None)
        self._evict()


def _fold_into(states: dict[str, RunState], histories: Histories, event: Event) -> RunState:
    state = states.get(event.run_id)
    prior = histories.prior(event) if state is None else None
    state = states[event.run_id] = apply(state, event, prior)
    if state.position == event.position and state.status in TERMINAL:
        histories.ended(state)
    return state
