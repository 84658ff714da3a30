"""The facts a log holds: one payload type per event type, and the recorded event around it.

Payloads read what newer releases wrote: a field they do not know is ignored here and kept in the
stored bytes. What enters the log is checked by :mod:`.door` against the same fields, strictly.
"""

import builtins
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = (
    "ACTIVE",
    "MAX_COUNT",
    "MAX_DATA_BYTES",
    "MAX_LEAF_BYTES",
    "PAYLOADS",
    "TERMINAL",
    "CancelRequested",
    "Cancelled",
    "Completed",
    "Count",
    "Event",
    "Failed",
    "Heartbeat",
    "Interrupted",
    "Level",
    "Noted",
    "Paused",
    "Payload",
    "Queued",
    "Resumed",
    "Rewound",
    "RunSpec",
    "Stage",
    "StageChanged",
    "Started",
    "Status",
    "Ticked",
    "TotalChanged",
    "Unknown",
)

MAX_COUNT = 2**63 - 1
"""Largest ``done``, ``advance``, ``total`` or count."""

MAX_DATA_BYTES = 60 * 1024
"""Largest encoded ``data`` of one event, in bytes of ASCII JSON."""

MAX_LEAF_BYTES = 65_535
"""Largest stored event, framing included: the bound of an entry in a tiled transparency log."""

Status = Literal["queued", "running", "paused", "completed", "failed", "cancelled", "interrupted"]
Level = Literal["info", "warning", "error"]

ACTIVE: frozenset[str] = frozenset(("queued", "running", "paused"))
TERMINAL: frozenset[str] = frozenset(("completed", "failed", "cancelled", "interrupted"))

Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Short = Annotated[str, Meta(min_length=1, max_length=256)]
_Text = Annotated[str, Meta(max_length=1024)]
_Seconds = Annotated[float, Meta(gt=0, le=315_360_000)]
_Weight = Annotated[float, Meta(ge=0, le=1e9)]
_Labels = Annotated[dict[_Name, Annotated[str, Meta(max_length=256)]], Meta(max_length=64)]
_RunId = Annotated[str, Meta(min_length=1, max_length=128)]
_Counts = Annotated[dict[_Name, Count], Meta(max_length=256)]


class Payload(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The ``data`` of an event. ``occurred_at`` is the producer's clock, never used for order."""

    type: ClassVar[str] = ""

    occurred_at: str | None = None


class Stage(Struct, kw_only=True, omit_defaults=True):
    """A declared stage. ``weight`` is its share of the run relative to the other stages."""

    name: _Name
    weight: _Weight | None = None
    total: Count | None = None
    unit: _Name | None = None


class RunSpec(Payload, kw_only=True, omit_defaults=True):
    """What a run is, said once by its first event.

    ``attempt`` is stamped by the ledger: 1, or one more than the run named by ``retry_of``.
    """

    kind: Annotated[str, Meta(max_length=128)] = ""
    scope: Annotated[str, Meta(max_length=512)] | None = None
    title: _Text | None = None
    total: Count | None = None
    unit: _Name | None = None
    stages: Annotated[list[Stage], Meta(max_length=256)] = []
    labels: _Labels = {}
    slot: _Short | None = None
    owner: _Short | None = None
    lease_seconds: _Seconds | None = None
    stall_seconds: _Seconds | None = None
    parent: _RunId | None = None
    retry_of: _RunId | None = None
    attempt: int = 1


class Queued(RunSpec, kw_only=True, omit_defaults=True):
    """The run waits for its start. Always the first event of a run that waits."""

    type: ClassVar[str] = "queued"


class Started(RunSpec, kw_only=True, omit_defaults=True):
    """Work begins. Carries the spec when it is the run's first event, else nothing."""

    type: ClassVar[str] = "started"


class Ticked(Payload, kw_only=True, omit_defaults=True):
    """Work was done: exactly one of ``done`` (absolute) or ``advance`` (added)."""

    type: ClassVar[str] = "ticked"

    done: Count | None = None
    advance: Count | None = None
    counts: _Counts | None = None
    total: Count | None | UnsetType = UNSET
    message: str | None = None


class StageChanged(Payload, kw_only=True, omit_defaults=True):
    """A stage begins; ``done`` restarts at 0 for it."""

    type: ClassVar[str] = "stage_changed"

    stage: _Name
    total: Count | None | UnsetType = UNSET
    message: str | None = None


class TotalChanged(Payload, kw_only=True, omit_defaults=True):
    """The total is another one now; None means unknown."""

    type: ClassVar[str] = "total_changed"

    total: Count | None


class Rewound(Payload, kw_only=True, omit_defaults=True):
    """Work was undone: the only way for ``done`` to go down inside a stage."""

    type: ClassVar[str] = "rewound"

    done: Count
    reason: str | None = None


class Noted(Payload, kw_only=True, omit_defaults=True):
    """Something worth reading happened."""

    type: ClassVar[str] = "noted"

    message: str
    level: Level | None = None
    link: str | None = None


class Heartbeat(Payload, kw_only=True, omit_defaults=True):
    """The producer is alive; no work was done."""

    type: ClassVar[str] = "heartbeat"


class Paused(Payload, kw_only=True, omit_defaults=True):
    """Work stands still on purpose."""

    type: ClassVar[str] = "paused"

    reason: str | None = None


class Resumed(Payload, kw_only=True, omit_defaults=True):
    """Work goes on after a pause."""

    type: ClassVar[str] = "resumed"

    reason: str | None = None


class CancelRequested(Payload, kw_only=True, omit_defaults=True):
    """Somebody asks the producer to stop."""

    type: ClassVar[str] = "cancel_requested"

    reason: str | None = None
    by: str | None = None


class Completed(Payload, kw_only=True, omit_defaults=True):
    """Terminal: the job did what it set out to do, whatever became of single items."""

    type: ClassVar[str] = "completed"

    message: str | None = None
    result: Any = None


class Failed(Payload, kw_only=True, omit_defaults=True):
    """Terminal: the job could not go on."""

    type: ClassVar[str] = "failed"

    error: str
    message: str | None = None


class Cancelled(Payload, kw_only=True, omit_defaults=True):
    """Terminal: the job was stopped on purpose."""

    type: ClassVar[str] = "cancelled"

    reason: str | None = None


class Interrupted(Payload, kw_only=True, omit_defaults=True):
    """Terminal: the producer is gone; neither failed nor cancelled."""

    type: ClassVar[str] = "interrupted"

    reason: str


class Unknown(Payload, kw_only=True):
    """An event a newer release wrote. ``name`` is its type; the stored bytes keep the rest."""

    type: ClassVar[str] = "unknown"

    name: str


class Event(Struct, tag_field="type", tag="", kw_only=True, gc=False):
    """One immutable fact about a run, as read from the log.

    ``version`` is its place in the run (1, 2, 3 …), ``position`` its place in the log, ``time`` the
    ledger's clock, ``data`` the payload. ``v`` is the schema version of the payload.
    """

    run_id: str
    version: int
    time: str
    data: Payload
    event_id: str | None = None
    position: int = 0
    v: int = 1

    @property
    def type(self) -> str:
        """The event type's name, also of types this release does not know."""
        data = self.data
        return data.name if isinstance(data, Unknown) else data.type


PAYLOADS: dict[str, builtins.type[Payload]] = {
    payload.type: payload
    for payload in (
        Queued,
        Started,
        Ticked,
        StageChanged,
        TotalChanged,
        Rewound,
        Noted,
        Heartbeat,
        Paused,
        Resumed,
        CancelRequested,
        Completed,
        Failed,
        Cancelled,
        Interrupted,
    )
}
"""Event type name to payload type, for every type this release knows."""
