"""The peer made with the ``eventsourcing`` package: jobs as aggregates in its application, on SQLite.

As its documents use it, in a file, with its own settings: a write-ahead log and ``synchronous`` at SQLite's
default, which is FULL; a saved event is on the disk then, as a receipt of the ledger says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.utils import EnvType

__all__ = ("Job", "Jobs", "append_seconds", "environment", "opened")


class Job(Aggregate):
    """One run."""

    @event("Started")
    def __init__(self, kind: str, total: int) -> None:
        self.kind = kind
        self.total = total
        self.done = 0
        self.message: str | None = None

    @event("Ticked")
    def tick(self, done: int, message: str | None) -> None:
        """So much is done."""
        self.done = done
        self.message = message


class Jobs(Application[UUID]):
    """Its events, and the notification log over all of them."""


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
