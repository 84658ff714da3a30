"""What ties a run's handle to its feed, whichever process the handle has got into."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from ..door import draft_event
from ..errors import LedgerError, RunEnded
from ..events import Payload, RunSpec
from ..log import Receipt
from .background import Background, background_for, register, release
from .feed import Feed
from .merge import Merge
from .options import RunOptions
from .target import Target

__all__ = ("CALL_SECONDS", "Answer", "Line")

CALL_SECONDS = 30.0
"""The longest that a call waits for the thread behind it, whatever is the matter there."""

Answer = tuple[Receipt | None, LedgerError | None]


class Line:
    """From any thread to a feed on the background thread, and to a new one in a forked child.

    Opening it raises what :meth:`.Feed.begin` raises. ``at_exit`` is called when the process ends with the
    line open.
    """

    def __init__(
        self,
        target: Target,
        spec: RunSpec,
        run_id: str,
        options: RunOptions,
        *,
        at_exit: Callable[["Line"], None],
        sample: Callable[[], int] | None = None,
    ) -> None:
        self.target = target
        self.spec = spec
        self.run_id = run_id
        self.options = options
        self.merge = Merge(strict=options.strict)
        self.owns = not options.attach
        self.feed: Feed | None = None
        self._at_exit = at_exit
        self._sample = sample
        self._closed = False
        self._lock = threading.Lock()
        self._joining: Future[Feed] | None = None
        self._background: Background | None = background_for(target)
        try:
            self.feed = self._background.call(self._open(self._background, attach=options.attach))
        except BaseException:
            self._release()
            raise
        register(self)

    def say(self, payload: Payload, timeout: float = CALL_SECONDS) -> Answer:
        """Record an event now, and what became of it."""
        draft = draft_event(payload)
        feed = self._reach()
        if feed is None:
            return None, None
        if feed.done.is_set():
            return None, feed.refusal or RunEnded(self.run_id, feed.status)
        answer: Future[Answer] = Future()

        def reply(receipt: Receipt | None, error: LedgerError | None) -> None:
            if not answer.done():
                answer.set_result((receipt, error))

        feed.post(payload, reply, draft=draft)
        return _wait(answer, timeout) or (None, feed.error)

    def post(self, payload: Payload) -> None:
        """Record an event soon, without waiting."""
        feed = self.feed or self._reach()
        if feed is not None:
            feed.post(payload)

    def flush(self) -> None:
        """Wait until what was said is written, or kept for a ledger that is away."""
        if self.feed is None and not self.merge.dirty:
            return
        feed = self._reach()
        if feed is not None and self._background is not None and not feed.done.is_set():
            _wait(self._background.spawn(feed.flushed()), CALL_SECONDS)

    def close(self) -> None:
        """Send what is left and let go. A ledger that is away is not waited for."""
        if self.feed is None and self.merge.dirty:
            self._reach()
        feed = self.feed
        if feed is not None and self._background is not None:
            feed.close()
            if feed.error is None:
                _wait(self._background.spawn(feed.done.wait()), self.options.patience)
        self._release()

    def after_fork(self) -> None:
        """In a forked child: count on as an attached run, once something is said."""
        self.owns = False
        self._lock = threading.Lock()
        self._background = None
        self._joining = None
        self.feed = None
        self._sample = None
        self.merge.forget()
        self.merge.wake = self._rejoin

    def at_exit(self) -> None:
        """The process ends."""
        if not self._closed and (self._background is not None or self.merge.dirty):
            self._at_exit(self)

    async def _open(self, background: Background, *, attach: bool) -> Feed:
        feed = Feed(
            background.sink,
            self.run_id,
            self.spec,
            queued=self.options.queued,
            attach=attach,
            strict=self.options.strict,
            interval=self.options.interval,
            merge=self.merge,
            sample=self._sample,
        )
        await feed.begin()
        background.adopt(feed)
        return feed

    def _rejoin(self) -> None:
        # The first word in a forked child. It does not wait: the feed comes when it comes, and finds what
        # was said until then in the sums.
        with self._lock:
            if self._background is not None or self._closed:
                return
            background = self._background = background_for(self.target)
            self._joining = background.spawn(self._open(background, attach=True))
            self._joining.add_done_callback(self._joined)

    def _joined(self, joining: Future[Feed]) -> None:
        try:
            self.feed = joining.result()
        except (LedgerError, CancelledError):
            # The run ended meanwhile; its own producer was told so.
            self._closed = True

    def _reach(self) -> Feed | None:
        if self.feed is None and not self._closed:
            self._rejoin()
            if self._joining is not None:
                try:
                    self.feed = _wait(self._joining, CALL_SECONDS)
                except LedgerError:
                    self._closed = True
        return self.feed

    def _release(self) -> None:
        with self._lock:
            background, self._background = self._background, None
            self._closed = True
        if background is not None:
            release(background)


def _wait(future: Future[Any], timeout: float) -> Any:
    try:
        return future.result(timeout)
    except (FutureTimeout, CancelledError):
        return None
