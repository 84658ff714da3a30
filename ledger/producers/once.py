"""A job that is done once, however often it is asked for: ``async with ledger.run_once(name) as run``."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

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
    job = RunFilter(kind=kind, scope=name)
    completed = msgspec.structs.replace(job, statuses=_COMPLETED)
    if await _newest(log, completed) is not None:
        yield None
        return
    # A job that must not run twice must not run unrecorded either: strict, the first event included.
    latest = await _newest(log, job)
    async with run(
        kind, scope=name, slot=f"once:{kind}:{name}", retry_of=latest, strict=True, **options
    ) as current:
        # Another process may have finished between the look and this run's hold of the slot.
        done = await _newest(log, completed)
        if done is None:
            yield current
            return
        await current.cancel(f"done already by {done}")
        yield None


async def _newest(log: EventLog, where: RunFilter) -> str | None:
    page = await log.runs(where, limit=1)
    return page.runs[0].run_id if page.runs else None
