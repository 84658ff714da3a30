"""A run's state seen at a moment: the snapshot, and what one event changed in it."""

from typing import TypeAlias

from progress_ledger.ledger.events import Event
from progress_ledger.ledger.times import format_time, parse_time, read_time

from .estimate import NOTHING, Estimate
from .outlook import allowed_silence, remaining
from .rate import mean_rate
from .snapshot import Change, Snapshot, StageView
from .stall import STALL_SECONDS
from .state import RunState, StageState, percent_of

__all__ = ("change", "is_stalled", "view")


_OVER = Estimate(0.0)

_Measures: TypeAlias = tuple[
    float | None,  # 0: percent
    float | None,  # 1: rate
    float | None,  # 2: eta_seconds
    float | None,  # 3: eta_low
    float | None,  # 4: eta_high
    str | None,  # 5: eta_basis
    str | None,  # 6: finish_at
    float,  # 7: elapsed_seconds
    float,  # 8: active_seconds
    bool,  # 9: stalled
    float,  # 10: stalled_seconds
    str | None,  # 11: stalled_because
]
"""What ages, in the order of the fields of :class:`Change`."""


def view(state: RunState, now: float) -> Snapshot:
    """The run as it looks at ``now`` (seconds since the epoch). The same state and moment, the same view."""
    seen = _measure(state, now, None)
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
        percent=seen[0],
        over_total=_over(state),
        counts=dict(state.counts),
        message=state.message,
        error=state.error,
        result=state.result,
        rate=seen[1],
        eta_seconds=seen[2],
        eta_low=seen[3],
        eta_high=seen[4],
        eta_basis=seen[5],
        finish_at=seen[6],
        elapsed_seconds=seen[7],
        active_seconds=seen[8],
        queued_at=state.queued_at,
        started_at=state.started_at,
        updated_at=state.updated_at,
        last_progress_at=state.last_progress_at,
        finished_at=state.finished_at,
        stalled=seen[9],
        stalled_seconds=seen[10],
        stalled_because=seen[11],
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
    time = event.time
    now = read_time(time)
    if event.version == 1:
        return view(state, now)
    seen = _measure(state, now, time)
    name = event.data.type
    # By their order: named, so many fields would take longer than all that is worked out here.
    told = Change(
        state.version, state.position, state.status, *seen, state.updated_at, state.last_progress_at
    )
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
    return _silence(state, now, None)[1] is not None


def _measure(state: RunState, now: float, at: str | None) -> _Measures:
    # ``at`` is ``now`` as a text where there is one: it need not be parsed where the state has it, too.
    elapsed = active = 0.0
    if state.started_at is not None:
        end = now if state.finished_at is None else parse_time(state.finished_at)
        elapsed = end - parse_time(state.started_at)
        if elapsed < 0.0:
            elapsed = 0.0
        active = elapsed
        if state.paused_seconds or state.paused_at is not None:
            paused = state.paused_seconds
            if state.paused_at is not None:
                paused += max(0.0, end - parse_time(state.paused_at))
            active = max(0.0, elapsed - paused)
    percent = percent_of(state)
    if percent is not None:
        percent = _shown(percent)
    rate = mean_rate(state.done, active - state.stage_began)
    if rate is not None:
        rate = int(rate * 1e6 + 0.5) / 1e6
    silent, because = _silence(state, now, at)
    found = _estimate(state, active - silent if because else active)
    seconds, low, high = found.seconds, found.low, found.high
    finish_at = None
    if seconds is not None:
        if seconds > 0.0:
            # 0 says that nothing is left; a moment is not nothing.
            seconds = int(seconds * 1000.0 + 0.5) / 1000.0 or 0.001
        low = None if low is None else _milli(low)
        high = None if high is None else max(seconds, _milli(high))
        if state.status == "running":
            finish_at = format_time(now + min(seconds, 3e9))
    worked = _milli(active)
    return (
        percent,
        rate,
        seconds,
        low,
        high,
        found.basis,
        finish_at,
        worked if active == elapsed else _milli(elapsed),
        worked,
        because is not None,
        _milli(silent) if because else 0.0,
        because,
    )


def _milli(seconds: float) -> float:
    # round() looks for the decimal number nearest to what is there, which takes eight times as long.
    return int(seconds * 1000.0 + 0.5) / 1000.0


def _estimate(state: RunState, active: float) -> Estimate:
    status = state.status
    if status == "completed":
        return _OVER
    if status not in ("running", "paused"):
        return NOTHING
    if not state.stages and state.total is not None and state.done >= state.total:
        return _OVER
    return remaining(state, active)


def _silence(state: RunState, now: float, at: str | None) -> tuple[float, str | None]:
    if state.status != "running":
        return 0.0, None
    since = state.resumed_at or state.last_progress_at
    if since is None or since == at:
        return 0.0, None
    silent = max(0.0, now - parse_time(since))
    if silent <= (STALL_SECONDS if state.stall_seconds is None else state.stall_seconds):
        return silent, None
    percent = percent_of(state)
    allowed = allowed_silence(state, None if percent is None else percent / 100.0)
    return silent, None if silent <= allowed.seconds else allowed.because


def _shown(percent: float) -> float:
    shown = int(percent * 10.0 + 0.5) / 10.0
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
    shown = state.shown
    if shown is None:
        parts = zip(state.stages, state.weights, strict=True)
        shown = [_stage(state, stage, weight, stage.done, stage.total) for stage, weight in parts]
        state.keep_shown(shown)
    if state.current < 0 or state.finished_at is not None:
        return list(shown)
    # Of all stages only the current one moves with a tick.
    stages = list(shown)
    k = state.current
    stages[k] = _stage(state, state.stages[k], state.weights[k], state.done, state.total)
    return stages


def _stage(state: RunState, stage: StageState, weight: float, done: int, total: int | None) -> StageView:
    percent = None
    if stage.status == "done":
        percent = 100.0
    elif total:
        percent = int(1000.0 * done / total + 0.5) / 10.0 if done < total else 100.0
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
