"""How fast is the log folded into snapshots, beside the package that one would take instead?

A cold rebuild of the ledger's projector from its file, with what it keeps on the way. Beside it, of jobs
with the same events, made with ``eventsourcing`` on SQLite:

* its notification log, a thousand at a time, each mapped to its domain event and folded by the very
  function that folds the ledger's events; nothing is kept;
* its own durable projection: each event changes a row of a view, and the view says how far it is, in one
  transaction an event. On SQLite it has no subscription, so the notification log is read for it.

A rate is over the events of its own file: the peers get fewer of them.

What this does not show: other databases, where its projection can follow a subscription, and projections
made by hand that put many events into one transaction.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.application import LocalNotificationLog
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection
from eventsourcing.sqlite import SQLiteFactory, SQLiteTrackingRecorder
from eventsourcing.utils import Environment

from benchmarks import eventsourced
from benchmarks.eventsourced import Jobs
from benchmarks.harness import Report, interleave, machine, medians, options, spread
from benchmarks.projection import drafts_of, in_a_process, pragmas_of, write_log
from progress_ledger.ledger import codec
from progress_ledger.ledger.events import Completed, Event, Payload, StageChanged, Started, Ticked
from progress_ledger.projections.run import apply
from progress_ledger.projections.state import RunState

PAGE = 1_000

TABLE = (
    "CREATE TABLE IF NOT EXISTS job (id TEXT PRIMARY KEY, version INTEGER, status TEXT, stage TEXT, "
    "done INTEGER, total INTEGER, message TEXT, updated_at TEXT) WITHOUT ROWID"
)
BEGIN = "INSERT INTO job VALUES (?, 1, 'running', NULL, 0, NULL, NULL, ?)"
ENTER = "UPDATE job SET version = ?, stage = ?, done = 0, total = ?, updated_at = ? WHERE id = ?"
TICK = "UPDATE job SET version = ?, done = ?, message = coalesce(?, message), updated_at = ? WHERE id = ?"
END = "UPDATE job SET version = ?, status = 'completed', updated_at = ? WHERE id = ?"

SAVED_AT_ONCE = 10


def write_jobs(path: Path, *, events: int, runs: int) -> None:
    """Jobs to which the same happens as to the runs of the ledger's log, ``events`` in all."""
    share, more = divmod(events, runs)
    made = (
        eventsourced.report(draft.payload for draft in drafts_of(run, share + (run < more)))
        for run in range(runs)
    )
    with eventsourced.opened(path) as jobs:
        while some := list(islice(made, SAVED_AT_ONCE)):
            jobs.save(*some)


def happened(jobs: Jobs, after: int = 0) -> Iterator[tuple[int, Any]]:
    """What the notification log tells, as domain events with their position."""
    log = LocalNotificationLog(jobs.recorder, section_size=PAGE)
    while page := log.select(after + 1, PAGE):
        for notification in page:
            yield notification.id, jobs.mapper.to_domain_event(notification)
        after = page[-1].id


def fold(path: Path) -> tuple[int, dict[UUID, RunState]]:
    """Every event of the notification log folded as the ledger folds; how many, and the states."""
    states: dict[UUID, RunState] = {}
    count = 0
    with eventsourced.opened(path) as jobs:
        for position, told in happened(jobs):
            job = told.originator_id
            state = states.get(job)
            event = event_of(told, position, str(job) if state is None else state.run_id)
            states[job] = apply(state, event)
            count += 1
    return count, states


def event_of(told: Any, position: int, run_id: str) -> Event:
    """A domain event of a job as the event that happens to a run."""
    name, payload = _PAYLOADS[type(told).__name__](told)
    at = told.timestamp.isoformat(timespec="microseconds")[:26] + "Z"
    return codec.event_of(name, run_id, told.originator_version, at, payload, None, position)


_PAYLOADS: dict[str, Callable[[Any], tuple[str, Payload]]] = {
    "Started": lambda told: ("started", Started(kind=told.kind, title=told.title)),
    "StageChanged": lambda told: ("stage_changed", StageChanged(stage=told.stage, total=told.total)),
    "Ticked": lambda told: ("ticked", Ticked(done=told.done, counts=told.counts, message=told.message)),
    "Completed": lambda told: ("completed", Completed(result=told.result)),
}


class View(SQLiteTrackingRecorder):
    """A row for each job, and how far it is, changed together."""

    def construct_create_table_statements(self) -> list[str]:
        return [*super().construct_create_table_statements(), TABLE]

    def change(self, sql: str, values: Sequence[object], tracking: Tracking) -> None:
        """One event's change."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(sql, values)


class Progress(Projection[View]):
    """Keeps the view."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        job, version = str(domain_event.originator_id), domain_event.originator_version
        at = domain_event.timestamp.isoformat()
        match type(domain_event).__name__:
            case "Started":
                self.view.change(BEGIN, (job, at), tracking)
            case "StageChanged":
                changed = (version, domain_event.stage, domain_event.total, at, job)
                self.view.change(ENTER, changed, tracking)
            case "Ticked":
                changed = (version, domain_event.done, domain_event.message, at, job)
                self.view.change(TICK, changed, tracking)
            case _:
                self.view.change(END, (version, at, job), tracking)


def project(path: Path, view: Path, events: int) -> int:
    """The first ``events`` through its durable projection into a new view; the position it says it is at."""
    factory = SQLiteFactory(Environment(Progress.name, {"SQLITE_DBNAME": str(view)}))
    recorder = factory.tracking_recorder(View)
    assert isinstance(recorder, View)
    progress = Progress(recorder)
    with eventsourced.opened(path) as jobs:
        for position, told in islice(happened(jobs), events):
            progress.process_event(told, Tracking(jobs.name, position))
        reached = recorder.max_tracking_id(jobs.name)
    factory.close()
    return reached or 0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the ledger's log")
    parser.add_argument("--runs", type=int, default=1_000, help="runs they belong to")
    parser.add_argument("--peer-events", type=int, default=100_000, help="events of the peer's log")
    parser.add_argument("--durable", type=int, default=5_000, help="events through its durable projection")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmark-projection-peers-") as folder:
        ours, theirs = Path(folder) / "log.db", Path(folder) / "jobs.db"
        views = (Path(folder) / f"view-{number}.db" for number in range(1_000_000))
        asyncio.run(write_log(ours, events=chosen.events, runs=chosen.runs))
        runs = max(1, chosen.runs * chosen.peer_events // chosen.events)
        write_jobs(theirs, events=chosen.peer_events, runs=runs)

        def rebuild() -> float:
            found = in_a_process("rebuild", ours)
            return found["events"] / found["seconds"]

        def folded() -> float:
            began = time.perf_counter()
            count, _ = fold(theirs)
            return count / (time.perf_counter() - began)

        def durable() -> float:
            began = time.perf_counter()
            return project(theirs, next(views), chosen.durable) / (time.perf_counter() - began)

        sides = {
            "ledger, rebuild": rebuild,
            "eventsourcing, notification log and the same fold": folded,
            "eventsourcing, durable projection": durable,
        }
        results = interleave(sides, chosen.repeat)
        described = machine(
            pragmas=pragmas_of(ours),
            events=chosen.events,
            runs=chosen.runs,
            peer_events=chosen.peer_events,
            durable_events=chosen.durable,
        )
    report = Report("Folding a log from zero, beside another package", described)
    middle = medians(results)
    for side, value in middle.items():
        report.row(side, value, "events/s")
        report.row(f"{side}: spread", spread(results[side]), "×")
    for side, bar in zip(list(sides)[1:], (6.0, 150.0), strict=True):
        report.at_least(f"ledger, rebuild / {side}", middle["ledger, rebuild"] / middle[side], bar)
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
