"""Everything the events of a run say, and what is read off it at once: its percent, its time of work."""

from dataclasses import dataclass, field
from typing import Any

from progress_ledger.ledger.times import seconds_between

from .curve import Course
from .ground import Ground
from .history import Prior
from .snapshot import StageView

__all__ = ("RunState", "StageState", "active_seconds", "percent_of", "share_of")


@dataclass(slots=True, kw_only=True)
class StageState:
    """A stage as folded so far. ``active`` is the time spent in it, in seconds, pauses cut out."""

    name: str
    status: str = "pending"
    weight: float | None = None
    total: int | None = None
    unit: str | None = None
    done: int = 0
    active: float = 0.0
    started_at: str | None = None
    finished_at: str | None = None


class _Found:
    """What was worked out from a run's state, and is neither kept nor compared: it can be found again.

    ``ground`` is what its estimates stand on, ``shown`` what is shown of its stages while none of them moves;
    None until somebody asks.
    """

    __slots__ = ("ground", "shown")

    ground: Ground | None
    shown: list[StageView] | None

    def keep_ground(self, ground: Ground) -> None:
        """To be found again until :meth:`forget`."""
        self.ground = ground

    def keep_shown(self, shown: list[StageView]) -> None:
        """To be found again until :meth:`forget`."""
        self.shown = shown

    def forget(self) -> None:
        """Work it out anew: another stage, another total, or the end."""
        self.ground = None
        self.shown = None


# Slotted, since the fold is made of assignments, and one to a field of a Struct costs three times as much.
@dataclass(slots=True, kw_only=True)
class RunState(_Found):
    """Everything the events of one run say, as of ``position``.

    ``done`` and ``total`` are those of the current stage where there is one. ``clock`` is the moment of
    the last event by the producer's clock, None where that is not sane and ``updated_at`` counts.
    ``floor`` is the percent below which the run is never shown again. ``prior`` is the history of the run's
    kind as it stood at the run's first position, ``weights`` what each of ``stages`` counts, ``behind`` what
    those that are done count together, ``ticks`` those that moved, ``loud_until`` the end of the minute of
    the last progress.
    """

    run_id: str
    kind: str = ""
    scope: str | None = None
    title: str | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    slot: str | None = None
    owner: str | None = None
    parent: str | None = None
    retry_of: str | None = None
    attempt: int = 1
    unit: str | None = None
    run_total: int | None = None
    stall_seconds: float | None = None
    lease_seconds: float | None = None
    status: str = ""
    stages: list[StageState] = field(default_factory=list[StageState])
    current: int = -1
    done: int = 0
    total: int | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    message: str | None = None
    error: str | None = None
    result: Any = None
    floor: float = 0.0
    queued_at: str | None = None
    started_at: str | None = None
    updated_at: str = ""
    last_progress_at: str | None = None
    resumed_at: str | None = None
    loud_until: str = ""
    finished_at: str | None = None
    clock: str | None = None
    paused_at: str | None = None
    paused_seconds: float = 0.0
    stage_began: float = 0.0
    cancel_requested_at: str | None = None
    course: Course = field(default_factory=Course)
    prior: Prior | None = None
    weights: list[float] = field(default_factory=list[float])
    behind: float | None = None
    ticks: int = 0
    first: int = 0
    version: int = 0
    position: int = 0

    def __post_init__(self) -> None:
        self.forget()

    @property
    def silent_since(self) -> str | None:
        """Since when nothing was done: the last progress, or the end of a pause after it."""
        return self.resumed_at or self.last_progress_at

    @property
    def stage(self) -> StageState | None:
        """The current stage."""
        return self.stages[self.current] if self.current >= 0 else None


def active_seconds(state: RunState, at: str) -> float:
    """Seconds of work until ``at`` (or the run's end), pauses cut out; 0 before the start."""
    if state.started_at is None:
        return 0.0
    end = state.finished_at or at
    paused = state.paused_seconds
    if state.paused_at is not None:
        paused += seconds_between(state.paused_at, end)
    return max(0.0, seconds_between(state.started_at, end) - paused)


def percent_of(state: RunState) -> float | None:
    """The whole run's percent, 0 to 100, or None when nothing is known of it. Unrounded."""
    if state.status == "completed":
        return 100.0
    share = share_of(state)
    floor = state.floor
    if share is None:
        return floor or None
    return max(floor, 100.0 * share)


def share_of(state: RunState) -> float | None:
    """How much of the whole run its events say is done, 0 to 1, whatever was shown before."""
    total = state.total
    part = None
    if total:
        done = state.done
        part = done / total if done < total else 1.0
    if state.current < 0:
        return part
    if part is None:
        return state.behind
    return min(1.0, (state.behind or 0.0) + state.weights[state.current] * part)
