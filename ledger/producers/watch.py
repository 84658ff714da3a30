"""The feeds of one ledger, and the eye that is kept on what others do to their runs.

A cancel request or an end may come from another process. While there are feeds, and only then, the ledger
is asked for news of their runs; a log that has not moved costs one look at its head.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from ..errors import LedgerError
from .feed import Feed
from .sink import Sink

__all__ = ("Start", "Watch")

_logger = logging.getLogger("progress_ledger.producer")


Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
"""Runs a task beside the caller until it ends."""


class Watch:
    """Starts feeds, brings them news, and lets them finish when the ledger closes."""

    def __init__(
        self,
        sink: Sink,
        start: Callable[[Callable[[], Coroutine[Any, Any, None]]], object],
        *,
        every: float = 0.5,
    ) -> None:
        self._sink = sink
        self._start = start
        self._every = every
        self._feeds: dict[Feed, None] = {}
        self._looking = False

    @property
    def busy(self) -> bool:
        """Whether a feed is still at work."""
        return bool(self._feeds)

    def add(self, feed: Feed) -> None:
        """Let the feed send until it is closed."""
        self._feeds[feed] = None

        async def pump() -> None:
            try:
                await feed.pump()
            finally:
                self._feeds.pop(feed, None)

        self._start(pump)
        if not self._looking:
            self._looking = True
            self._start(self._look)

    async def close(self, patience: float) -> None:
        """Let every feed send what it has; after ``patience`` seconds what is left is given up, and said."""
        feeds = list(self._feeds)
        for feed in feeds:
            feed.close()
        with anyio.move_on_after(patience, shield=True):
            for feed in feeds:
                await feed.done.wait()
        for feed in feeds:
            if not feed.done.is_set():
                feed.give_up()

    async def _look(self) -> None:
        try:
            while self._feeds:
                await anyio.sleep(self._every)
                since = {feed.run_id: feed.seen for feed in self._feeds if not feed.done.is_set()}
                if not since:
                    continue
                try:
                    news = await self._sink.look(since)
                except LedgerError as error:
                    _logger.debug("no news of the runs: %s", error)
                    continue
                for feed in tuple(self._feeds):
                    if feed.run_id in news:
                        feed.news(news[feed.run_id])
        finally:
            self._looking = False
