"""What a run looks like from outside: the snapshot, its stages, and what changed in it."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

__all__ = ("Change", "Snapshot", "StageView")


class StageView(Struct, kw_only=True, frozen=True):
    """A stage of a run. ``weight`` is its share of the whole run; all shares add up to 1.

    ``percent`` is the stage's own, 100 once it is done, None while its total is unknown.
    """

    name: str
    status: Literal["pending", "active", "done"]
    done: int
    total: int | None
    unit: str | None
    percent: float | None
    weight: float | None
    started_at: str | None
    finished_at: str | None


class Snapshot(Struct, kw_only=True):
    """A run as of one position and one moment.

    None means unknown, 0 nothing left. Times are RFC 3339 UTC, durations seconds, ``rate`` units per
    second. ``done`` and ``total`` are the run's, or the current stage's where there are stages;
    ``percent`` is the whole run's, never above 100, and never goes down but by ``rewound``.
    """

    run_id: str
    kind: str
    scope: str | None
    title: str | None
    status: str
    labels: dict[str, str]
    slot: str | None
    owner: str | None
    parent: str | None
    retry_of: str | None
    unit: str | None
    stage: str | None
    stages: list[StageView]
    done: int
    total: int | None
    percent: float | None
    over_total: bool
    counts: dict[str, int]
    message: str | None
    error: str | None
    result: Any
    rate: float | None
    eta_seconds: float | None
    eta_low: float | None
    eta_high: float | None
    eta_basis: str | None
    finish_at: str | None
    elapsed_seconds: float
    active_seconds: float
    queued_at: str | None
    started_at: str | None
    updated_at: str
    last_progress_at: str | None
    finished_at: str | None
    stalled: bool
    stalled_seconds: float
    stalled_because: str | None
    cancel_requested: bool
    cancel_requested_at: str | None
    attempt: int
    version: int
    position: int


class Change(Struct, omit_defaults=True, gc=False):
    """What one event changed in a :class:`Snapshot`, and what ages: enough to patch the one before it."""

    version: int
    position: int
    status: str
    percent: float | None
    rate: float | None
    eta_seconds: float | None
    eta_low: float | None
    eta_high: float | None
    eta_basis: str | None
    finish_at: str | None
    elapsed_seconds: float
    active_seconds: float
    stalled: bool
    stalled_seconds: float
    stalled_because: str | None
    updated_at: str
    last_progress_at: str | None
    stage: str | None | UnsetType = UNSET
    stages: list[StageView] | UnsetType = UNSET
    unit: str | None | UnsetType = UNSET
    done: int | UnsetType = UNSET
    total: int | None | UnsetType = UNSET
    over_total: bool | UnsetType = UNSET
    counts: dict[str, int] | UnsetType = UNSET
    message: str | None | UnsetType = UNSET
    error: str | None | UnsetType = UNSET
    result: Any = UNSET
    started_at: str | None | UnsetType = UNSET
    finished_at: str | None | UnsetType = UNSET
    cancel_requested: bool | UnsetType = UNSET
    cancel_requested_at: str | None | UnsetType = UNSET
