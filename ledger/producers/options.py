"""What a producer may say about its run and about itself, before and while it reports."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UnsetType

from ..door import draft_run
from ..errors import InvalidRun
from ..events import RunSpec, Stage, Ticked
from ..liveness.owner import owner_of
from .merge import plain_text

__all__ = ("DEFAULT_LEASE", "RunOptions", "make_spec", "make_tick", "text_or_none")

DEFAULT_LEASE = 90.0
"""Seconds without a sign of the producer after which a run counts as interrupted."""


class RunOptions(msgspec.Struct, kw_only=True, frozen=True):
    """How a producer reports, beside what the run is.

    ``attach`` joins an active run and ends nothing; ``queued`` begins it waiting; ``strict`` raises every
    fault of the ledger; ``raise_on_cancel`` raises RunCancelled at the next call after a cancel request;
    ``interval`` is the least number of seconds between two merged ticks; ``patience`` how long leaving the
    run waits for its end to be written. Raises ValueError for what is no number of seconds.
    """

    attach: bool = False
    queued: bool = False
    strict: bool = False
    raise_on_cancel: bool = False
    interval: float = 0.25
    patience: float = 5.0

    def __post_init__(self) -> None:
        told: dict[str, object] = {"interval": self.interval, "patience": self.patience}
        for name, seconds in told.items():
            if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
                raise ValueError(f"{name} {seconds!r} is no number of seconds from 0.")


def make_spec(
    kind: str,
    *,
    scope: str | None = None,
    title: str | None = None,
    total: int | None = None,
    unit: str | None = None,
    stages: Sequence[str | Stage | Mapping[str, Any]] = (),
    labels: Mapping[str, str] | None = None,
    slot: str | None = None,
    owner: str | None = None,
    lease_seconds: float | None = DEFAULT_LEASE,
    stall_seconds: float | None = None,
    parent: str | None = None,
    retry_of: str | None = None,
) -> RunSpec:
    """A run spec from what callers find handy: stages as names, mappings or :class:`~..events.Stage`.

    Raises InvalidRun or TooLarge when the ledger would refuse it.
    """
    if isinstance(stages, str):
        raise InvalidRun(f"stages is a list of names, not a text; write [{stages[:80]!r}].", field="stages")
    spec = RunSpec(
        kind=kind,
        scope=scope,
        title=title,
        total=total,
        unit=unit,
        stages=[_stage(stage) for stage in stages],
        labels=dict(labels or {}),
        slot=slot,
        owner=owner_of(owner),
        lease_seconds=lease_seconds,
        stall_seconds=stall_seconds,
        parent=parent,
        retry_of=retry_of,
    )
    draft_run(spec)
    return spec


def make_tick(
    advance: int | None,
    *,
    done: int | None,
    total: int | None | UnsetType,
    counts: Mapping[str, int] | None,
    message: str | None,
) -> Ticked:
    """The payload of a tick, with ``advance`` 1 when neither it nor ``done`` is said."""
    if advance is None and done is None:
        advance = 1
    return Ticked(
        advance=advance,
        done=done,
        total=total,
        counts=dict(counts) if counts else None,
        message=text_or_none(message),
    )


def text_or_none(text: str | None) -> str | None:
    """A text as an event can carry it."""
    return None if text is None else plain_text(text)


def _stage(stage: str | Stage | Mapping[str, Any]) -> Stage:
    if isinstance(stage, Stage):
        return stage
    return Stage(name=stage) if isinstance(stage, str) else Stage(**stage)
