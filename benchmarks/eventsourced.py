"""The peer made with the ``eventsourcing`` package: jobs as aggregates in its application, on SQLite.

As its documents use it, in a file, with its own settings: a write-ahead log and ``synchronous`` at SQLite's
default, which is FULL; a saved event is on the disk then, as a receipt of the ledger says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.utils import EnvType

from progress_ledger.ledger.events import Completed, Payload, RunSpec, StageChanged, Ticked

__all__ = ("Job", "Jobs", "append_seconds", "environment", "opened", "report")


class Job(Aggregate):
    """One run, with what its events said last."""

    @event("Started")
    def __init__(self, kind: str, title: str | None = None, total: int | None = None) -> None:
        self.kind = kind
        self.title = title
        self.total = total
        self.status = "running"
        self.stage: str | None = None
        self.done = 0
        self.counts: dict[str, int] = {}
        self.message: str | None = None
        self.result: Any = None

    @event("StageChanged")
    def enter(self, stage: str, total: int | None) -> None:
        """The next stage has begun."""
        self.stage = stage
        self.total = total
        self.done = 0

    @event("Ticked")
    def tick(self, done: int, message: str | None = None, counts: dict[str, int] | None = None) -> None:
        """So much is done."""
        self.done = done
        if counts:
            self.counts |= counts
        if message is not None:
            self.message = message

    @event("Completed")
    def complete(self, result: Any) -> None:
        """All is done."""
        self.status = "completed"
        self.result = result


class Jobs(Application[UUID]):
    """Its events, and the notification log over all of them."""


def report(payloads: Iterable[Payload]) -> Job:
    """A job to which the same happened as to a run with these events. Not saved yet."""
    waiting = iter(payloads)
    spec = next(waiting)
    assert isinstance(spec, RunSpec)
    job = Job(kind=spec.kind, title=spec.title)
    for payload in waiting:
        match payload:
            case StageChanged():
                job.enter(payload.stage, payload.total or None)
            case Ticked():
                assert payload.done is not None
                job.tick(payload.done, payload.message, payload.counts)
            case Completed():
                job.complete(payload.result)
            case _:
                raise TypeError(f"{payload!r} is nothing that happens to a job here.")
    return job


def environment(path: Path) -> EnvType:
    """An application's settings for one SQLite file."""
    return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}


@contextmanager
def opened(path: Path) -> Iterator[Jobs]:
    """The application over a file, closed afterwards."""
    jobs = Jobs(env=environment(path))
    try:
        yield jobs
    finally:
        jobs.close()


def append_seconds(path: Path, *, threads: int, events: int) -> float:
    """Seconds until so many threads, each with its own job, have saved all events, one at a time."""
    with opened(path) as jobs:
        mine = [Job(kind="bench", total=events) for _ in range(threads)]
        for job in mine:
            jobs.save(job)

        def producer(job: Job, count: int) -> None:
            for done in range(count):
                job.tick(done, f"{done} of {count} sheets")
                jobs.save(job)

        share, more = divmod(events, threads)
        working = [
            threading.Thread(target=producer, args=(job, share + (number < more)))
            for number, job in enumerate(mine)
        ]
        began = time.perf_counter()
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()
        seconds = time.perf_counter() - began
        assert jobs.recorder.max_notification_id() == events + threads
        return seconds
