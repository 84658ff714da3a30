"""A sink whose ledger may not be there: it is opened when it is needed, and tried again when it failed."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from ..door import Draft
from ..errors import LedgerError, Unavailable
from ..events import Payload, RunSpec
from ..liveness.owner import default_name
from ..log import Accepted
from .outage import Outage
from .sink import Created, News, Sink

__all__ = ("Opener", "Reopening")

_logger = logging.getLogger("progress_ledger.producer")

Opener = Callable[[], AbstractAsyncContextManager[Sink]]


class Reopening:
    """A :class:`~.sink.Sink` over what ``opener`` opens. :meth:`keep` is the task that holds it open."""

    clock = staticmethod(time.time)

    def __init__(self, opener: Opener, *, answers_may_get_lost: bool) -> None:
        self.owner = default_name()
        self.answers_may_get_lost = answers_may_get_lost
        self._opener = opener
        self._sink: Sink | None = None
        self._outage = Outage()
        self._wanted = asyncio.Event()
        self._tried = asyncio.Event()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Let :meth:`keep` close what is open and return."""
        self._closing.set()
        self._wanted.set()
        self._tried.set()  # who waits for it to be opened is told that it will not be

    async def keep(self) -> None:
        """Open, and hold open until :meth:`close`; after a failure open again when that is wanted."""
        while not self._closing.is_set():
            await self._wanted.wait()
            if self._closing.is_set():
                return
            self._wanted.clear()
            try:
                async with self._opener() as sink:
                    self._outage.over()
                    self._sink = sink
                    self._tried.set()
                    await self._closing.wait()
            except (LedgerError, OSError) as error:
                if not isinstance(error, LedgerError):
                    error = Unavailable(f"The ledger cannot be opened: {error}.")
                self._outage.fail(error, time.monotonic())
            except Exception as error:
                _logger.exception("the ledger could not be opened")
                self._outage.fail(Unavailable(f"The ledger cannot be opened: {error!r}."), time.monotonic())
            finally:
                self._sink = None
                self._tried.set()

    async def create(self, spec: RunSpec, *, run_id: str | None = None, queued: bool = False) -> Created:
        return await (await self._open()).create(spec, run_id=run_id, queued=queued)

    async def append(
        self, run_id: str, events: Sequence[Payload | Draft], *, expected_version: int | None = None
    ) -> Accepted:
        return await (await self._open()).append(run_id, events, expected_version=expected_version)

    async def look(self, since: Mapping[str, int]) -> dict[str, News]:
        return await (await self._open()).look(since)

    async def _open(self) -> Sink:
        closing = self._closing.is_set()
        if self._sink is None and not closing and self._outage.wait(time.monotonic()) <= 0:
            self._tried.clear()
            self._wanted.set()
            await self._tried.wait()
        if self._sink is not None:
            return self._sink
        error = self._outage.error
        if isinstance(error, Unavailable):
            raise error
        raise Unavailable(str(error) if error else "The ledger is closed.")
