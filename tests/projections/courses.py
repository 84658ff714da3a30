"""Runs made up for tests, and folded as the projector folds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from progress_ledger.ledger.events import (
    Completed,
    Event,
    Paused,
    Payload,
    Resumed,
    Stage,
    StageChanged,
    Started,
    Ticked,
)
from progress_ledger.ledger.times import format_time
from progress_ledger.projections.histories import Histories
from progress_ledger.projections.run import apply
from progress_ledger.projections.state import RunState

BEGIN = 1_800_000_000.0


class Fold:
    """A fold of made-up events: a clock, a position, the states and the histories."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.position = 0
        self.states: dict[str, RunState] = {}
        self.histories = Histories()

    def tell(self, run_id: str, data: Payload) -> RunState:
        """The run's state after one more event at the present moment."""
        state = self.states.get(run_id)
        self.position += 1
        event = Event(
            run_id=run_id,
            version=1 if state is None else state.version + 1,
            time=format_time(self.now),
            data=data,
            position=self.position,
        )
        if state is None:
            state = self.states[run_id] = apply(None, event, self.histories.prior(event))
        else:
            apply(state, event)
        if state.finished_at is not None:
            self.histories.ended(state)
        return state

    def start(self, run_id: str, *, kind: str = "job", **spec: object) -> RunState:
        """A run begins."""
        return self.tell(run_id, Started(kind=kind, **spec))  # type: ignore[arg-type]  # fields by name

    def work(
        self,
        run_id: str,
        total: int,
        cost: Callable[[int], float] = lambda _: 1.0,
        *,
        until: int | None = None,
    ) -> RunState:
        """Ticks one by one, item n costing `cost(n)` seconds."""
        state = self.states[run_id]
        for n in range(state.done + 1, (total if until is None else until) + 1):
            self.now += cost(n)
            state = self.tell(run_id, Ticked(done=n))
        return state

    def whole(self, run_id: str, total: int, cost: Callable[[int], float] = lambda _: 1.0) -> RunState:
        """A run from its start to its end."""
        self.start(run_id, total=total)
        self.work(run_id, total, cost)
        return self.tell(run_id, Completed())

    def staged(self, run_id: str, stages: Sequence[tuple[str, int, float]]) -> RunState:
        """A run of stages (name, items, seconds an item) from its start to its end."""
        self.start(run_id, stages=[Stage(name=name) for name, _, _ in stages])
        for name, total, cost in stages:
            self.tell(run_id, StageChanged(stage=name, total=total))
            self.work(run_id, total, lambda _, cost=cost: cost)  # type: ignore[misc]  # bound on purpose
        return self.tell(run_id, Completed())

    def pause(self, run_id: str, seconds: float) -> None:
        """A pause, taken."""
        self.tell(run_id, Paused())
        self.now += seconds
        self.tell(run_id, Resumed())
