"""A job that is done once, however often it is asked for: ``async with ledger.run_once(name) as run``."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..log import EventLog, RunFilter
from .run import Run

__all__ = ("run_once",)

_COMPLETED = frozenset(("completed",))


@asynccontextmanager
async def run_once(
    log: EventLog,
    run: Callable[..., AbstractAsyncContextManager[Run]],
    name: str,
    *,
    kind: str,
    **options: Any,
) -> AsyncGenerator[Run | None, None]:
    """What :meth:`.Ledger.run_once` does; ``run`` is the ledger's own."""
    done, latest = await _known(log, kind, name)
    if done is not None:
        yield None
        return
    # A job that must not run twice must not run unrecorded either: strict, the first event included.
    async with run(
        kind, scope=name, slot=f"once:{kind}:{name}", retry_of=latest, strict=True, **options
    ) as current:
        # Another process may have finished between the look and this run's hold of the slot.
        done, _ = await _known(log, kind, name)
        if done is None:
            yield current
            return
        await current.cancel(f"done already by {done}")
        yield None


async def _known(log: EventLog, kind: str, name: str) -> tuple[str | None, str | None]:
    """The ids of a run that completed the job, and of the latest one that tried; None where there is none."""
    done = await log.runs(RunFilter(kind=kind, scope=name, statuses=_COMPLETED), limit=1)
    latest = await log.runs(RunFilter(kind=kind, scope=name), limit=1)
    return (
        next((head.run_id for head in done.runs), None),
        next((head.run_id for head in latest.runs), None),
    )
