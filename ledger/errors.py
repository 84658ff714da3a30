"""Everything the ledger refuses, as one tree.

::

    LedgerError
    ├── RunNotFound             run_not_found       no such run, or a first event that cannot start one
    ├── RunExists               run_exists          the run id is taken by a run with another spec
    ├── RunEnded                run_ended           the run is over; its outcome does not change
    ├── VersionConflict         version_conflict    expected_version does not match
    ├── EventIdConflict         event_id_conflict   the event_id was used for something else
    ├── InvalidTransition       invalid_transition  the event may not come in this status
    ├── SlotTaken               slot_taken          an active run holds the slot
    ├── RunCancelled            run_cancelled       the run was asked to stop, and its producer hears it
    ├── Malformed               malformed           not JSON, or not UTF-8
    ├── InvalidRun              invalid_run         a run id or run spec that cannot be
    ├── InvalidEvent            invalid_event       an event that cannot be
    ├── TooLarge                too_large           past a limit
    ├── Pruned                  pruned              the run's events were archived and removed
    └── Unavailable             unavailable         the log cannot be read or written now
        ├── NotALedger          not_a_ledger        the file is not a ledger's
        ├── NewerLedger         newer_ledger        the file was written by a newer release
        ├── ReadOnly            read_only           the file or its folder cannot be written
        ├── DiskFull            disk_full           no room for the events
        ├── Locked              locked              another process held the file past the timeout
        └── Closed              closed              the ledger was closed

Every error carries a stable ``code``, one sentence for people as its text, and ``fields()``: the
data that belongs to it, ready for JSON.
"""

from collections.abc import Mapping
from typing import ClassVar

__all__ = (
    "Closed",
    "DiskFull",
    "EventIdConflict",
    "InvalidEvent",
    "InvalidRun",
    "InvalidTransition",
    "LedgerError",
    "Locked",
    "Malformed",
    "NewerLedger",
    "NotALedger",
    "Pruned",
    "ReadOnly",
    "RunCancelled",
    "RunEnded",
    "RunExists",
    "RunNotFound",
    "SlotHolder",
    "SlotTaken",
    "TooLarge",
    "Unavailable",
    "VersionConflict",
    "problem",
)


class LedgerError(Exception):
    """Base of all errors the ledger raises on purpose. Nothing was stored by what raised it."""

    code: ClassVar[str] = "ledger_error"

    def fields(self) -> dict[str, object]:
        """The data of this error under stable names, JSON-ready."""
        return {}


class _AboutRun(LedgerError):
    def __init__(self, run_id: str, message: str) -> None:
        super().__init__(message)
        self.run_id = run_id

    def fields(self) -> dict[str, object]:
        return {"run_id": self.run_id}


class RunNotFound(_AboutRun):
    """There is no such run, and the event cannot be the first one of a run."""

    code = "run_not_found"

    def __init__(self, run_id: str, event_type: str | None = None) -> None:
        if event_type is None:
            message = f"There is no run {run_id!r}."
        else:
            message = (
                f"There is no run {run_id!r}, and {event_type!r} cannot be a run's first event; "
                "begin it with 'queued' or 'started'."
            )
        super().__init__(run_id, message)


class RunExists(_AboutRun):
    """The run id belongs to a run that was created with another spec, or whose spec was pruned."""

    code = "run_exists"

    def __init__(self, run_id: str, *, pruned: bool = False) -> None:
        super().__init__(
            run_id,
            f"Run {run_id!r} ended and was pruned, and its id stays taken; choose another id."
            if pruned
            else f"Run {run_id!r} exists, begun with another spec or by another producer; choose another id, "
            "or none to be given one.",
        )


class RunEnded(_AboutRun):
    """The run has its terminal event; nothing is appended after it."""

    code = "run_ended"

    def __init__(self, run_id: str, status: str) -> None:
        super().__init__(
            run_id,
            f"Run {run_id!r} is {status} and takes no more events; begin a new run with retry_of={run_id!r}.",
        )
        self.status = status

    def fields(self) -> dict[str, object]:
        return {"run_id": self.run_id, "status": self.status}


class VersionConflict(_AboutRun):
    """``expected_version`` is not the run's version (0: the run must not exist)."""

    code = "version_conflict"

    def __init__(self, run_id: str, expected_version: int, current_version: int) -> None:
        super().__init__(
            run_id,
            f"Run {run_id!r} is at version {current_version}, not {expected_version}; "
            "read it again and decide anew.",
        )
        self.expected_version = expected_version
        self.current_version = current_version

    def fields(self) -> dict[str, object]:
        return {
            "run_id": self.run_id,
            "expected_version": self.expected_version,
            "current_version": self.current_version,
        }


class EventIdConflict(_AboutRun):
    """The ``event_id`` is known on this run, with different content."""

    code = "event_id_conflict"

    def __init__(self, run_id: str, event_id: str) -> None:
        super().__init__(
            run_id, f"event_id {event_id!r} was used on run {run_id!r} for another event; use a fresh one."
        )
        self.event_id = event_id

    def fields(self) -> dict[str, object]:
        return {"run_id": self.run_id, "event_id": self.event_id}


class InvalidTransition(_AboutRun):
    """An event of this type may not come while the run has this status."""

    code = "invalid_transition"

    def __init__(self, run_id: str, status: str, event_type: str) -> None:
        super().__init__(run_id, f"{event_type!r} may not come while run {run_id!r} is {status}.")
        self.status = status
        self.event_type = event_type

    def fields(self) -> dict[str, object]:
        return {"run_id": self.run_id, "status": self.status, "type": self.event_type}


class SlotHolder:
    """Who holds a slot: ``run_id``, ``kind``, ``status`` and ``owner`` (None when not given)."""

    __slots__ = ("kind", "owner", "run_id", "status")

    def __init__(self, *, run_id: str, kind: str, status: str, owner: str | None) -> None:
        self.run_id = run_id
        self.kind = kind
        self.status = status
        self.owner = owner

    def __repr__(self) -> str:
        return (
            f"SlotHolder(run_id={self.run_id!r}, kind={self.kind!r}, "
            f"status={self.status!r}, owner={self.owner!r})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotHolder) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(self.run_id)


class SlotTaken(LedgerError):
    """An active run holds the slot; ``run`` says which. Raised whatever else a producer swallows."""

    code = "slot_taken"

    def __init__(self, slot: str, run: SlotHolder) -> None:
        super().__init__(
            f"Slot {slot!r} is held by run {run.run_id!r} ({run.status}); follow it or wait for its end."
        )
        self.slot = slot
        self.run = run

    def fields(self) -> dict[str, object]:
        return {
            "slot": self.slot,
            "run": {
                "run_id": self.run.run_id,
                "kind": self.run.kind,
                "status": self.run.status,
                "owner": self.run.owner,
            },
        }


class RunCancelled(_AboutRun):
    """Raised in a producer that wants it so, after a request to cancel its run."""

    code = "run_cancelled"

    def __init__(self, run_id: str, reason: str | None = None) -> None:
        why = f": {reason}" if reason else ""
        super().__init__(run_id, f"Run {run_id!r} was asked to stop{why}.")
        self.reason = reason

    def fields(self) -> dict[str, object]:
        return {"run_id": self.run_id, "reason": self.reason}


class Malformed(LedgerError):
    """The bytes are not JSON, or not UTF-8."""

    code = "malformed"


class _AboutField(LedgerError):
    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    def fields(self) -> dict[str, object]:
        return {} if self.field is None else {"field": self.field}


class InvalidRun(_AboutField):
    """A run id or run spec that cannot be; ``field`` names the place when there is one."""

    code = "invalid_run"


class InvalidEvent(_AboutField):
    """An event that cannot be; ``field`` names the place when there is one."""

    code = "invalid_event"


class TooLarge(_AboutField):
    """Past a limit; the text names the limit."""

    code = "too_large"


class Pruned(_AboutRun):
    """The run's events were archived and removed; ``archive`` says where, when it is known."""

    code = "pruned"

    def __init__(self, run_id: str, archive: str | None = None) -> None:
        where = f"; its archive is {archive}" if archive else ""
        super().__init__(run_id, f"The events of run {run_id!r} were pruned{where}.")
        self.archive = archive

    def fields(self) -> dict[str, object]:
        return {"run_id": self.run_id, "archive": self.archive}


class Unavailable(LedgerError):
    """The log cannot be read or written now; what was accepted before is untouched."""

    code = "unavailable"


class NotALedger(Unavailable):
    """The file is there but is not a ledger's."""

    code = "not_a_ledger"


class NewerLedger(Unavailable):
    """The file was written by a newer release than this one."""

    code = "newer_ledger"


class ReadOnly(Unavailable):
    """The file or its folder cannot be written."""

    code = "read_only"


class DiskFull(Unavailable):
    """There is no room on the disk; nothing of the batch was stored."""

    code = "disk_full"


class Locked(Unavailable):
    """Another process held the file past the busy timeout; nothing of the batch was stored."""

    code = "locked"


class Closed(Unavailable):
    """The ledger was closed."""

    code = "closed"

    def __init__(self) -> None:
        super().__init__("The ledger is closed; open it again.")


def problem(error: LedgerError) -> Mapping[str, object]:
    """The error as data: ``code``, ``detail`` and its fields."""
    return {"code": error.code, "detail": str(error), **error.fields()}
