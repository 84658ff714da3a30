"""A run's state seen at a moment: the snapshot, and what one event changed in it."""

from typing import NamedTuple

from progress_ledger.ledger.events import ACTIVE, Event
from progress_ledger.ledger.times import format_time, parse_time

from .estimate import NOTHING, Estimate
from .outlook import allowed_silence, remaining
from .rate import mean_rate
from .snapshot import Change, Snapshot, StageView
from .stall import STALL_SECONDS
from .state import RunState, StageState, active_seconds, percent_of

__all__ = ("change", "is_stalled", "view")


class _Measures(NamedTuple):
    percent: float | None
    rate: float | None
    estimate: Estimate
    finish_at: str | None
    elapsed: float
    active: float
    silent: float
    because: str | None


def view(state: RunState, now: float) -> Snapshot:
    """The run as it looks at ``now`` (seconds since the epoch). The same state and moment, the same view."""
    seen = _measure(state, now, format_time(now))
    return Snapshot(
        run_id=state.run_id,
        kind=state.kind,
        scope=state.scope,
        title=state.title,
        status=state.status,
        labels=state.labels,
        slot=state.slot,
        owner=state.owner,
        parent=state.parent,
        retry_of=state.retry_of,
        unit=_unit(state),
        stage=_stage_name(state),
        stages=_stages(state),
        done=state.done,
        total=state.total,
        percent=seen.percent,
        over_total=_over(state),
        counts=dict(state.counts),
        message=state.message,
        error=state.error,
        result=state.result,
        rate=seen.rate,
        eta_seconds=seen.estimate.seconds,
        eta_low=seen.estimate.low,
        eta_high=seen.estimate.high,
        eta_basis=seen.estimate.basis,
        finish_at=seen.finish_at,
        elapsed_seconds=seen.elapsed,
        active_seconds=seen.active,
        queued_at=state.queued_at,
        started_at=state.started_at,
        updated_at=state.updated_at,
        last_progress_at=state.last_progress_at,
        finished_at=state.finished_at,
        stalled=seen.because is not None,
        stalled_seconds=seen.silent,
        stalled_because=seen.because,
        cancel_requested=state.cancel_requested_at is not None,
        cancel_requested_at=state.cancel_requested_at,
        attempt=state.attempt,
        version=state.version,
        position=state.position,
    )


def change(state: RunState, event: Event) -> Change | Snapshot:
    """What ``event``, just applied to ``state``, changed, seen at the event's own time.

    Laid over the snapshot before it, it is the snapshot after it. A run's first event changes everything,
    and comes as a whole snapshot.
    """
    if event.version == 1:
        return view(state, parse_time(event.time))
    seen = _measure(state, parse_time(event.time), event.time)
    told = Change(
        version=state.version,
        position=state.position,
        status=state.status,
        percent=seen.percent,
        rate=seen.rate,
        eta_seconds=seen.estimate.seconds,
        eta_low=seen.estimate.low,
        eta_high=seen.estimate.high,
        eta_basis=seen.estimate.basis,
        finish_at=seen.finish_at,
        elapsed_seconds=seen.elapsed,
        active_seconds=seen.active,
        stalled=seen.because is not None,
        stalled_seconds=seen.silent,
        stalled_because=seen.because,
        updated_at=state.updated_at,
        last_progress_at=state.last_progress_at,
    )
    name = event.data.type
    if name in _QUIET:
        return told
    told.message = state.message
    if name == "noted":
        return told
    told.done = state.done
    told.total = state.total
    told.over_total = _over(state)
    if state.stages:
        told.stages = _stages(state)
    if name == "ticked":
        if state.counts:
            told.counts = dict(state.counts)
        return told
    told.stage = _stage_name(state)
    told.unit = _unit(state)
    told.started_at = state.started_at
    if state.finished_at is not None:
        told.finished_at = state.finished_at
        told.error = state.error
        told.result = state.result
    if name == "cancel_requested":
        told.cancel_requested = True
        told.cancel_requested_at = state.cancel_requested_at
    return told


_QUIET = frozenset(("heartbeat", "paused", "resumed"))


def is_stalled(state: RunState, now: float) -> bool:
    """Whether the run is running and has been silent for too long."""
    return _silence(state, now)[1] is not None


def _measure(state: RunState, now: float, at: str) -> _Measures:
    percent = percent_of(state)
    active = active_seconds(state, at)
    elapsed = 0.0
    if state.started_at is not None:
        elapsed = max(0.0, parse_time(state.finished_at or at) - parse_time(state.started_at))
    rate = mean_rate(state.done, active - state.stage_began)
    silent, because = _silence(state, now)
    estimate = _estimate(state, active - silent if because else active)
    finish_at = None
    if estimate.seconds is not None and state.status == "running":
        finish_at = format_time(now + min(estimate.seconds, 3e9))
    return _Measures(
        None if percent is None else _shown(state, percent),
        None if rate is None else round(rate, 6),
        estimate,
        finish_at,
        round(elapsed, 3),
        round(active, 3),
        round(silent, 3) if because else 0.0,
        because,
    )


def _estimate(state: RunState, active: float) -> Estimate:
    if state.status == "completed":
        return Estimate(0.0)
    if state.status not in ACTIVE or state.status == "queued":
        return NOTHING
    if not state.stages and state.total is not None and state.done >= state.total:
        return Estimate(0.0)
    found = remaining(state, active)
    if found.seconds is None:
        return found
    if found.low is None or found.high is None:
        return Estimate(round(found.seconds, 3), None, None, found.basis, found.why)
    low, high = round(found.low, 3), round(found.high, 3)
    return Estimate(round(found.seconds, 3), low, high, found.basis, found.why)


def _silence(state: RunState, now: float) -> tuple[float, str | None]:
    if state.status != "running" or state.silent_since is None:
        return 0.0, None
    silent = max(0.0, now - parse_time(state.silent_since))
    if silent <= (STALL_SECONDS if state.stall_seconds is None else state.stall_seconds):
        return silent, None
    percent = percent_of(state)
    allowed = allowed_silence(state, None if percent is None else percent / 100.0)
    return silent, None if silent <= allowed.seconds else allowed.because


def _shown(state: RunState, percent: float) -> float:
    shown = round(percent, 1)
    # 100 is said only of what is all done: 99.97 must not round up to it.
    return 99.9 if shown >= 100.0 > percent else shown


def _over(state: RunState) -> bool:
    return state.total is not None and state.done > state.total


def _stage_name(state: RunState) -> str | None:
    stage = state.stage
    return None if stage is None else stage.name


def _unit(state: RunState) -> str | None:
    stage = state.stage
    return state.unit if stage is None or stage.unit is None else stage.unit


def _stages(state: RunState) -> list[StageView]:
    if not state.stages:
        return []
    return [
        _stage(state, stage, weight, current=index == state.current and state.finished_at is None)
        for index, (stage, weight) in enumerate(zip(state.stages, state.weights, strict=True))
    ]


def _stage(state: RunState, stage: StageState, weight: float, *, current: bool) -> StageView:
    done, total = (state.done, state.total) if current else (stage.done, stage.total)
    percent = None
    if stage.status == "done":
        percent = 100.0
    elif total:
        percent = round(min(100.0, 100.0 * done / total), 1)
    return StageView(
        name=stage.name,
        status=stage.status,  # type: ignore[arg-type]
        done=done,
        total=total,
        unit=stage.unit or state.unit,
        percent=percent,
        weight=round(weight, 6),
        started_at=stage.started_at,
        finished_at=stage.finished_at,
    )
