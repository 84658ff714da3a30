"""What looks wrong with a ledger and with the jobs that report to it. Decisions over facts read elsewhere.

A *problem* breaks a promise or will soon; a *warning* is something that whoever owns the job would like to
know, such as that it was built to report and never does.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from progress_ledger.ledger.events import TERMINAL
from progress_ledger.ledger.log import RunHead
from progress_ledger.ledger.times import seconds_between
from progress_ledger.projections import RunState

__all__ = (
    "CLOCK_STEP_SECONDS",
    "EVENTS_PER_SECOND",
    "UNANSWERED_SECONDS",
    "FileFacts",
    "Finding",
    "of_clock",
    "of_file",
    "of_run",
)

EVENTS_PER_SECOND = 20.0
"""A run that appends faster than this for long was meant to merge its ticks: producers keep to four."""

UNANSWERED_SECONDS = 300.0
"""A cancel request that nobody answered for this long will not be answered."""

CLOCK_STEP_SECONDS = 1.0
"""Neighbours in the log whose times go back by more than this: a clock was set, or two machines differ."""

_FEW_EVENTS = 1_000
_LOW_DISK = 256 * 1024 * 1024
_LONG_WAL = 256 * 1024 * 1024
_SAFE_SQLITE = (3, 51, 3)


class Finding(NamedTuple):
    """One thing: how bad, a stable ``code``, one sentence, and the run it is about."""

    level: Literal["ok", "warning", "problem"]
    code: str
    detail: str
    run_id: str | None = None


class FileFacts(NamedTuple):
    """What was read off the file and its surroundings."""

    sqlite: tuple[int, ...]
    journal_mode: str
    free_bytes: int
    wal_bytes: int
    tokens_readable_by_others: bool


def of_file(facts: FileFacts) -> list[Finding]:
    """Findings about the file itself."""
    found: list[Finding] = []
    told = ".".join(map(str, facts.sqlite))
    if facts.sqlite < _SAFE_SQLITE:
        found.append(
            Finding(
                "ok",
                "old_sqlite",
                f"SQLite {told} can corrupt a file when two connections checkpoint and write at one instant "
                "(mended in 3.51.3); the ledger keeps them apart itself, other programs on the file do not.",
            )
        )
    else:
        found.append(Finding("ok", "sqlite", f"SQLite {told}."))
    if facts.journal_mode != "wal":
        found.append(
            Finding(
                "problem",
                "journal_mode",
                f"The journal mode is {facts.journal_mode!r}: readers wait for writers. "
                "`progress-ledger serve` sets it right when it opens the file.",
            )
        )
    if facts.free_bytes < _LOW_DISK:
        found.append(
            Finding(
                "problem",
                "disk_low",
                f"Only {facts.free_bytes // 2**20} MiB are left on the disk of the file.",
            )
        )
    if facts.wal_bytes > _LONG_WAL:
        found.append(
            Finding(
                "warning",
                "long_wal",
                f"The write-ahead log has {facts.wal_bytes // 2**20} MiB: a reader was left open for long. "
                "Restart what reads the file.",
            )
        )
    if facts.tokens_readable_by_others:
        found.append(
            Finding(
                "warning",
                "tokens_readable",
                "Others may read the hashes of the tokens; chmod 600 their file.",
            )
        )
    return found


def of_run(state: RunState, head: RunHead, *, now: str) -> list[Finding]:
    """Findings about one run, at the time ``now``."""
    run_id = state.run_id
    found: list[Finding] = []
    if state.status == "completed" and state.ticks == 0 and state.total != 0:
        found.append(
            Finding(
                "warning",
                "no_ticks",
                f"Run {run_id} completed without a single tick: is its progress reported at all?",
                run_id,
            )
        )
    never = [stage.name for stage in state.stages if stage.status == "pending"]
    if state.status == "completed" and never:
        names = ", ".join(never[:5])
        found.append(
            Finding(
                "warning",
                "stage_never_entered",
                f"Run {run_id} declared {names} and never got there.",
                run_id,
            )
        )
    lived = 0.0
    if state.started_at is not None:
        lived = seconds_between(state.started_at, state.finished_at or state.updated_at)
    if head.version > _FEW_EVENTS and head.version > EVENTS_PER_SECOND * max(lived, 1.0):
        found.append(
            Finding(
                "warning",
                "too_many_events",
                f"Run {run_id} appended {head.version} events in {lived:.0f} s; "
                "report with advance(), which merges.",
                run_id,
            )
        )
    if state.status in TERMINAL:
        return found
    silence = seconds_between(head.time, now)
    if head.lease_seconds is not None and silence > 2 * head.lease_seconds:
        found.append(
            Finding(
                "problem",
                "stale_lease",
                f"Run {run_id} was last heard of {silence:.0f} s ago, its lease is "
                f"{head.lease_seconds:.0f} s, and nothing ended it: run `progress-ledger serve`, which does.",
                run_id,
            )
        )
    asked = state.cancel_requested_at
    if asked is not None and seconds_between(asked, now) > UNANSWERED_SECONDS:
        found.append(
            Finding(
                "warning",
                "cancel_unanswered",
                f"Run {run_id} was asked to stop {seconds_between(asked, now):.0f} s ago and did not.",
                run_id,
            )
        )
    return found


def of_clock(times: Iterable[tuple[int, str]]) -> list[Finding]:
    """Findings about the clock, from neighbours in the log as (position, time)."""
    steps = 0
    worst = 0.0
    where = 0
    before: str | None = None
    for position, time in times:
        if before is not None and time < before:
            back = seconds_between(time, before)
            if back > CLOCK_STEP_SECONDS:
                steps += 1
                if back > worst:
                    worst, where = back, position
        before = time
    if not steps:
        return []
    return [
        Finding(
            "warning",
            "clock_steps",
            f"The clock went back {steps} times, at position {where} by {worst:.1f} s. "
            "Order is not touched by it; durations are.",
        )
    ]
