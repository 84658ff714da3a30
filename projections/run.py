"""One run's events folded into its state.

:func:`apply` is the only fold: the live view, a rebuild and an audit all call it. It reads no clock.
"""

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from progress_ledger.ledger.events import (
    MAX_COUNT,
    CancelRequested,
    Completed,
    Event,
    Failed,
    Noted,
    Payload,
    Rewound,
    RunSpec,
    StageChanged,
    Ticked,
    TotalChanged,
)
from progress_ledger.ledger.tick_line import TickLine
from progress_ledger.ledger.times import seconds_between

from .history import Prior
from .outlook import end_silence, foretell, weigh
from .state import RunState, StageState, active_seconds, share_of

__all__ = ("MAX_COUNTERS", "MAX_STAGES", "apply", "drop_counts", "follow", "listen", "mark")

MAX_COUNTERS = 1_000
"""Different names a run's ``counts`` may have; later ones are not counted."""

MAX_STAGES = 512
"""Stages a run may have, declared or not: a further one takes the place of the oldest that is over."""


def apply(state: RunState | None, event: Event, prior: Prior | None = None) -> RunState:
    """The state after ``event``, in place; ``state`` is None before a run's first event.

    ``prior`` is what history says at that first event, and is not looked at later. An event at or before
    the state's position changes nothing, so that folding twice is folding once.
    """
    if state is None:
        state = RunState(run_id=event.run_id, first=event.position, prior=prior)
    elif event.position <= state.position:
        return state
    follow(state, event, event.position)
    return state


def follow(state: RunState, event: Event | TickLine, position: int) -> None:
    """What :func:`apply` does with an event that is known to be the state's next, at ``position``."""
    data = event.data
    time = at = event.time
    if data.occurred_at is not None:
        at = _sane(state, data.occurred_at, time)
    elif state.clock is not None:
        state.clock = None
    if isinstance(data, Ticked):
        # Nearly all events are ticks: a call to a step of their own would be a tenth of a rebuild.
        if data.total is not UNSET and data.total != state.total:
            _retotal(state, data.total)
        counts = data.counts
        done = data.done
        if done is None:
            done = min(MAX_COUNT, state.done + (data.advance or 0))
            moved = done > state.done
            if counts is not None:
                moved = _add_counts(state.counts, counts) or moved
        else:
            moved = done > state.done
            if counts is not None:
                if moved:
                    state.counts.update(counts)
                else:
                    moved = _correct_counts(state.counts, counts, stale=done < state.done)
                    done = state.done
                if len(state.counts) > MAX_COUNTERS:
                    drop_counts(state.counts)
        if data.message is not None:
            state.message = data.message
        if moved:
            state.done = done
            state.ticks += 1
            if at > state.loud_until:
                listen(state, at)
            state.last_progress_at = at
            if done >= state.course.next:
                mark(state, at)
    else:
        step = _STEPS.get(data.type)
        if step is not None:
            step(state, data, at)
    state.updated_at = time
    state.version = event.version
    state.position = position


def _weigh(state: RunState) -> None:
    # To be called when there are other stages than before, or another one is current.
    state.weights = weigh(state)
    done = [
        weight
        for index, (stage, weight) in enumerate(zip(state.stages, state.weights, strict=True))
        if stage.status == "done" and index != state.current
    ]
    state.behind = sum(done) if done else None
    state.forget()


def _settle(state: RunState) -> None:
    # Called before whatever could make the percent smaller: from here on it is not shown below this.
    share = share_of(state)
    if share is not None:
        state.floor = max(state.floor, 100.0 * share)


def _progressed(state: RunState, at: str) -> None:
    listen(state, at)
    state.last_progress_at = at


def listen(state: RunState, at: str) -> None:
    """A silence ends at ``at``, which is beyond ``loud_until``."""
    # A silence that matters is a minute or longer, so it ends in another minute than it began, and no time
    # within a minute is greater as a text than its 60th second.
    since = state.silent_since
    state.loud_until = at[:16] + ":6"
    state.resumed_at = None
    if since is not None and (seconds := seconds_between(since, at)) >= 60.0:
        end_silence(state, share_of(state), seconds)


def mark(state: RunState, at: str) -> None:
    """``done`` has reached what the course wants to remember."""
    # Only while running, so that no pause is open.
    started = state.started_at
    active = 0.0 if started is None else seconds_between(started, at) - state.paused_seconds
    foretell(state, max(0.0, active))


def _queued(state: RunState, data: RunSpec, at: str) -> None:
    _spec(state, data)
    state.status = "queued"
    state.queued_at = at


def _started(state: RunState, data: RunSpec, at: str) -> None:
    if state.version == 0:
        _spec(state, data)
    state.status = "running"
    state.started_at = at
    _progressed(state, at)


def _spec(state: RunState, spec: RunSpec) -> None:
    state.kind = spec.kind
    state.scope = spec.scope
    state.title = spec.title
    state.labels = spec.labels
    state.slot = spec.slot
    state.owner = spec.owner
    state.parent = spec.parent
    state.retry_of = spec.retry_of
    state.attempt = spec.attempt
    state.unit = spec.unit
    state.run_total = state.total = spec.total
    state.stall_seconds = spec.stall_seconds
    state.lease_seconds = spec.lease_seconds
    state.stages = [
        StageState(name=stage.name, weight=stage.weight, total=stage.total, unit=stage.unit)
        for stage in spec.stages
    ]
    _weigh(state)
    state.course.retotal(0, spec.total)


def _sane(state: RunState, occurred: str, time: str) -> str:
    """The producer's clock where it is neither ahead of the ledger's nor behind the run's last moment."""
    if (state.clock or state.updated_at) <= occurred <= time:
        state.clock = occurred
        return occurred
    state.clock = None
    return time


def _add_counts(counts: dict[str, int], more: dict[str, int]) -> bool:
    moved = False
    for name, count in more.items():
        counts[name] = min(MAX_COUNT, counts.get(name, 0) + count)
        moved = moved or count > 0
    if len(counts) > MAX_COUNTERS:
        drop_counts(counts)
    return moved


def _correct_counts(counts: dict[str, int], now: dict[str, int], *, stale: bool) -> bool:
    # What comes late says of its counts what it says of done: the higher ones stand.
    moved = False
    for name, count in now.items():
        before = counts.get(name)
        if before is None or (count > before if stale else count != before):
            counts[name] = count
            moved = True
    return moved


def drop_counts(counts: dict[str, int]) -> None:
    """Keep the first :data:`MAX_COUNTERS`."""
    # The first names stay: a producer that invents a name for each item must not fill the memory.
    for name in list(counts)[MAX_COUNTERS:]:
        del counts[name]


def _stage_changed(state: RunState, data: StageChanged, at: str) -> None:
    _settle(state)
    _leave_stage(state, at)
    for index, stage in enumerate(state.stages):  # noqa: B007 - read after the loop
        if stage.name == data.stage:
            break
    else:
        stage = StageState(name=data.stage)
        index = _add_stage(state, stage)
    state.current = index
    stage.status = "active"
    _weigh(state)
    stage.started_at = stage.started_at or at
    stage.finished_at = None
    if data.total is not UNSET:
        stage.total = data.total
    elif stage.total is None:
        stage.total = state.run_total
    _progressed(state, at)
    state.stage_began = active_seconds(state, at)
    state.course.enter(stage.name, state.done, stage.total, state.stage_began - state.course.cut)
    stage.done = 0
    state.done = 0
    state.total = stage.total
    state.forget()
    state.message = data.message


def _add_stage(state: RunState, stage: StageState) -> int:
    stages = state.stages
    stages.append(stage)
    if len(stages) > MAX_STAGES:
        # The first that is over makes room: a producer that invents stages must not fill the memory.
        stages.pop(next(index for index, one in enumerate(stages) if one.status == "done"))
    return len(stages) - 1


def _leave_stage(state: RunState, at: str) -> None:
    stage = state.stage
    if stage is None:
        return
    stage.status = "done"
    stage.finished_at = at
    _measure_stage(state, stage, at)


def _measure_stage(state: RunState, stage: StageState, at: str) -> None:
    stage.done = state.done
    stage.total = state.total
    stage.active += max(0.0, active_seconds(state, at) - state.stage_began)


def _total_changed(state: RunState, data: TotalChanged, at: str) -> None:
    _retotal(state, data.total)


def _retotal(state: RunState, total: int | None) -> None:
    _settle(state)
    state.total = total
    state.forget()
    state.course.retotal(state.done, total)
    if state.current < 0:
        state.run_total = total


def _rewound(state: RunState, data: Rewound, at: str) -> None:
    state.done = data.done
    state.floor = 0.0
    state.course.rewind(data.done)
    _progressed(state, at)


def _noted(state: RunState, data: Noted, at: str) -> None:
    state.message = data.message


def _paused(state: RunState, data: Payload, at: str) -> None:
    state.status = "paused"
    state.paused_at = at


def _resumed(state: RunState, data: Payload, at: str) -> None:
    state.status = "running"
    _end_pause(state, at)
    state.resumed_at = at
    state.loud_until = ""


def _end_pause(state: RunState, at: str) -> None:
    if state.paused_at is not None:
        state.paused_seconds += seconds_between(state.paused_at, at)
        state.paused_at = None


def _cancel_requested(state: RunState, data: CancelRequested, at: str) -> None:
    state.cancel_requested_at = state.cancel_requested_at or at


def _ended(state: RunState, data: Any, at: str) -> None:
    _settle(state)
    _end_pause(state, at)
    state.status = data.type
    state.finished_at = at
    state.forget()
    state.course.close(state.done, active_seconds(state, at) - state.course.cut)
    stage = state.stage
    if isinstance(data, Completed):
        state.result = data.result
        _leave_stage(state, at)
    elif stage is not None:
        _measure_stage(state, stage, at)
    if isinstance(data, Failed):
        state.error = data.error
    if isinstance(data, Completed | Failed):
        if data.message is not None:
            state.message = data.message
    elif data.reason is not None:
        state.message = data.reason


_STEPS: dict[str, Callable[[RunState, Any, str], None]] = {
    "queued": _queued,
    "started": _started,
    "stage_changed": _stage_changed,
    "total_changed": _total_changed,
    "rewound": _rewound,
    "noted": _noted,
    "paused": _paused,
    "resumed": _resumed,
    "cancel_requested": _cancel_requested,
    "completed": _ended,
    "failed": _ended,
    "cancelled": _ended,
    "interrupted": _ended,
}
