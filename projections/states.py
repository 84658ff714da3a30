"""The states of runs in memory, and the one loop that folds events into them.

All active runs are here; of the ended ones those that are not kept beside the log yet, and the latest others.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from msgspec import UNSET, ValidationError

from progress_ledger.ledger.codec import UPCASTERS, decode
from progress_ledger.ledger.events import Event
from progress_ledger.ledger.log import Document, Recorded
from progress_ledger.ledger.tick_line import read_tick

from .family import Family
from .histories import Histories
from .history import RunSummary
from .run import MAX_COUNTERS, apply, drop_counts, follow, listen, mark
from .state import RunState
from .store import MARK_EVERY, mark_of, state_of

__all__ = ("ENDED_KEPT", "Ends", "States")

ENDED_KEPT = 1_000
"""Ended runs that stay in memory though they are kept beside the log."""

Ends: TypeAlias = Mapping[int, tuple[str, RunSummary]]
"""Kinds and summaries of completed runs by the position of their end."""

_NONE: Ends = {}


class States:
    """Run states, histories and families as of ``position``. Nothing here awaits.

    ``saved`` is the position up to which :meth:`saved_through` was told that everything is kept.
    """

    def __init__(self, position: int = 0) -> None:
        self.position = position
        self.saved = position
        self.active: dict[str, RunState] = {}
        self.histories = Histories()
        self.family = Family()
        self.marks: list[Document] = []
        self._unkept: dict[str, RunState] = {}
        self._kept: dict[str, RunState] = {}

    def __len__(self) -> int:
        return len(self.active) + len(self._unkept) + len(self._kept)

    def get(self, run_id: str) -> RunState | None:
        """The run's state when it is in memory, as every active run's is."""
        return self.active.get(run_id) or self._unkept.get(run_id) or self._kept.get(run_id)

    def fold(self, event: Event) -> RunState | None:
        """The run's state after ``event``; None, and nothing is changed, when what came before is not here.

        Events come in the order of the log; one that is in its run's state already only moves the position.
        """
        run_id = event.run_id
        version = event.version
        state = self.active.get(run_id)
        if state is not None:
            if version > state.version + 1:
                return None
            if event.position > state.position:
                follow(state, event, event.position)
        elif version == 1:
            state = self.active[run_id] = apply(None, event, self.histories.prior(event))
            self.family.folded(state)
        else:
            return None
        self.position = event.position
        if state.finished_at is not None:
            self._ended(state)
        elif version % MARK_EVERY == 0 and state.version == version:
            self.marks.append(mark_of(state))
        return state

    def _ended(self, state: RunState) -> None:
        del self.active[state.run_id]
        self._unkept[state.run_id] = state
        self.family.folded(state)
        self.histories.ended(state)

    def fold_page(
        self,
        page: Sequence[tuple[int, bytes | None]],
        start: int = 0,
        *,
        tell: Callable[[Recorded, RunState], None] | None = None,
        without: Collection[str] = (),
        gone: Ends = _NONE,
    ) -> int:
        """Fold ``page[start:]`` and return where it stopped: at its end, or at an event whose run must be
        brought here first.

        ``tell`` is called after each event. Runs in ``without`` are passed over; ``gone`` are the summaries
        of runs that were pruned, by the position of their end.
        """
        state_of = self.active.get
        plain = 0 if UPCASTERS or tell is not None else 1  # the schema of ticks that need no more than below
        before = self.position
        while start < len(page) and page[start][0] <= before:
            start += 1
        for position, body in islice(page, start, None) if start else page:
            if body is None:
                if position in gone:
                    self.histories.pruned(*gone[position])
                continue
            try:
                line = read_tick(body)
            except ValidationError:
                pass
            else:
                state = state_of(line.run_id)
                version = line.version
                if (
                    state is not None
                    and state.version + 1 == version
                    and line.type == "ticked"
                    and line.v == plain
                    and version % MARK_EVERY
                ):
                    # What fold() does for nearly all events, without the way there.
                    data = line.data
                    done = data.done
                    if (
                        done is None
                        or done <= state.done
                        or data.total is not UNSET
                        or data.occurred_at is not None
                        or state.clock is not None
                    ):
                        follow(state, line, position)
                        continue
                    if data.counts is not None:
                        counts = state.counts
                        counts |= data.counts
                        if len(counts) > MAX_COUNTERS:
                            drop_counts(counts)
                    if data.message is not None:
                        state.message = data.message
                    state.done = done
                    state.ticks += 1
                    at = line.time
                    if at > state.loud_until:
                        listen(state, at)
                    state.last_progress_at = at
                    if done >= state.course.next:
                        mark(state, at)
                    state.updated_at = at
                    state.version = version
                    state.position = position
                    continue
            event = decode(body, position)
            state = self.fold(event)
            if state is None:
                if event.run_id in without:
                    continue
                stop = bisect_left(page, (position,))
                self.position = page[stop - 1][0] if stop > start else before
                return stop
            if tell is not None:
                event.position = self.position = position
                tell(Recorded(body, event), state)
        if page:
            self.position = max(before, page[-1][0])
        return len(page)

    def fold_whole(self, page: Sequence[tuple[int, bytes | None]], *, gone: Ends) -> None:
        """Fold all of ``page``, as all before it was: a run that is not here is gone from the log."""
        start = 0
        while (start := self.fold_page(page, start, gone=gone)) < len(page):
            start += 1

    def bring(self, state: RunState) -> None:
        """An active run's state as of some position at or before the next event to be folded."""
        self.active[state.run_id] = state
        self.family.folded(state)

    def adopt(self, active: Sequence[Document], histories: Sequence[Document]) -> None:
        """Take active runs and kinds' histories that were folded elsewhere, and are none of these here.

        Raises ValueError or msgspec.MsgspecError when one cannot be read.
        """
        for document in active:
            state = state_of(document)
            if state is None:
                raise ValueError(f"The state of run {document.key!r} cannot be read.")
            self.bring(state)
        self.histories.adopt(histories)

    def drop(self, run_id: str) -> None:
        """The run is no longer active, and its end will not be folded."""
        if self.active.pop(run_id, None) is not None:
            self.family.rebuild(self.active)

    # ── what is kept beside the log ─────────────────────────────────────────────────────────────────────

    @property
    def unkept(self) -> int:
        """How many ended runs wait to be kept."""
        return len(self._unkept)

    def ended(self) -> list[RunState]:
        """The ended runs that are not kept yet."""
        return list(self._unkept.values())

    def changed(self) -> list[RunState]:
        """The active runs that changed since everything was kept."""
        return [state for state in self.active.values() if state.position > self.saved]

    def take_marks(self) -> list[Document]:
        """The marks made since the last call."""
        marks, self.marks = self.marks, []
        return marks

    def keep(self, states: Iterable[RunState]) -> None:
        """These ended runs are kept now, or can be folded again: the oldest of them may leave."""
        kept = self._kept
        for state in states:
            self._unkept.pop(state.run_id, None)
            kept.pop(state.run_id, None)
            kept[state.run_id] = state
        spare = len(kept) - ENDED_KEPT
        if spare > 0:
            for run_id in list(kept)[:spare]:
                del kept[run_id]
