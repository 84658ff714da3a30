"""The thread behind producers that have no event loop: one for each ledger that a process reports to.

It is started by the first run and ends some time after the last one; at the end of the process it is given
a few seconds to write what is left. A forked child has no such thread: it starts its own when it first
reports, and never touches what its parent had open.
"""

import asyncio
import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import anyio

from ..errors import Unavailable
from .feed import Feed
from .reopening import Reopening
from .sink import Sink
from .target import Target
from .watch import Watch

__all__ = (
    "EXIT_SECONDS",
    "LINGER_SECONDS",
    "Background",
    "background_for",
    "register",
    "release",
    "stop_all",
)

_T = TypeVar("_T")

EXIT_SECONDS = 5.0
"""How long the end of a process waits for its last events to be written."""

LINGER_SECONDS = 2.0
"""How long the thread outlives its last run, so that the next one need not open the ledger again."""


class _Threads(ThreadPoolExecutor):
    # Host names are looked up on the loop's executor, and the standard one takes nothing more once the
    # process is ending: just when the last events go out.
    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        future: Future[_T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        threading.Thread(target=work, name="progress-ledger lookup", daemon=True).start()
        return future


class Background:
    """A daemon thread with an event loop and a ledger that is opened when needed."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.users = 0
        self._ready = threading.Event()
        # Threads that aiosqlite starts inherit "daemon" from this one; else the process would wait for them.
        self._thread = threading.Thread(target=self._run, name=f"progress-ledger {target}", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._sink: Reopening | None = None
        self._watch: Watch | None = None
        self._last_use = 0.0

    def start(self) -> None:
        """Start the thread. Does not wait for anything but the loop."""
        self._thread.start()
        self._ready.wait()

    @property
    def alive(self) -> bool:
        """Whether the thread still takes work."""
        return self._thread.is_alive() and self._stop is not None and not self._stop.is_set()

    @property
    def sink(self) -> Sink:
        """The ledger, from the loop's side."""
        assert self._sink is not None
        return self._sink

    def spawn(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run a coroutine on the loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the loop and wait for its result."""
        return self.spawn(coroutine).result()

    def adopt(self, feed: Feed) -> None:
        """Let a feed send; on the loop."""
        assert self._watch is not None
        self._watch.add(feed)

    def stop(self, patience: float) -> None:
        """Write what is left, for at most ``patience`` seconds, and end the thread."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                return
            self._thread.join(patience + 1.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(_Threads())
        self._stop = asyncio.Event()
        self._sink = Reopening(_opener(self.target), answers_may_get_lost=bool(self.target.url))
        async with anyio.create_task_group() as tasks:
            self._watch = Watch(self._sink, tasks.start_soon)
            tasks.start_soon(self._sink.keep)
            self._last_use = self._loop.time()
            self._ready.set()
            while not self._stop.is_set():
                with anyio.move_on_after(LINGER_SECONDS / 2):
                    await self._stop.wait()
                self._retire()
            await self._watch.close(EXIT_SECONDS)
            self._sink.close()

    def _retire(self) -> None:
        assert self._loop is not None
        assert self._stop is not None
        now = self._loop.time()
        with _registry.lock:
            if self.users or (self._watch is not None and self._watch.busy):
                self._last_use = now
            elif now >= self._last_use + LINGER_SECONDS:
                if _registry.backgrounds.get(self.target) is self:
                    del _registry.backgrounds[self.target]
                self._stop.set()


class _Registry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.backgrounds: dict[Target, Background] = {}
        # Of a parent process: kept, so that nothing of them is finalised in the child.
        self.inherited: list[Background] = []
        self.producers: weakref.WeakSet[Any] = weakref.WeakSet()
        self.finalizer_pid = 0


_registry = _Registry()


def background_for(target: Target) -> Background:
    """This process's thread for a ledger, started if need be. One more user: give it back when done."""
    with _registry.lock:
        found = _registry.backgrounds.get(target)
        if found is None or not found.alive:
            found = Background(target)
            found.start()
            _registry.backgrounds[target] = found
            _register_exit()
        found.users += 1
        return found


def release(background: Background) -> None:
    """One user less."""
    with _registry.lock:
        background.users -= 1


def stop_all(patience: float = EXIT_SECONDS) -> None:
    """Write what is left everywhere and end the threads. Runs that are still open end ``interrupted``."""
    for producer in tuple(_registry.producers):
        producer.at_exit()
    with _registry.lock:
        backgrounds = list(_registry.backgrounds.values())
        _registry.backgrounds.clear()
    for background in backgrounds:
        background.stop(patience)


def register(producer: Any) -> None:
    """Call ``producer.after_fork()`` in forked children, and ``producer.at_exit()`` at the process's end."""
    _registry.producers.add(producer)


def _register_exit() -> None:
    if _registry.finalizer_pid == os.getpid():
        return
    _registry.finalizer_pid = os.getpid()
    atexit.unregister(stop_all)
    atexit.register(stop_all)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        # Children of multiprocessing leave by os._exit and run only these. What was registered while their
        # arguments were read is dropped when they begin, so that it has to be said again then.
        util.register_after_fork(_registry, _finalize)
        _finalize(_registry)


def _finalize(_: _Registry) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, stop_all, exitpriority=10)


def _after_fork() -> None:
    _registry.lock = threading.Lock()
    _registry.inherited.extend(_registry.backgrounds.values())
    _registry.backgrounds.clear()
    for producer in tuple(_registry.producers):
        producer.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _opener(target: Target) -> Callable[[], AbstractAsyncContextManager[Sink]]:
    if target.url:
        return lambda: _open_remote(target.url)
    from ..ledger import Ledger

    return lambda: Ledger.open(target.path)


def _open_remote(url: str) -> AbstractAsyncContextManager[Sink]:
    try:
        # An extra: whoever reports to a file does not need it.
        from .remote import RemoteLedger
    except ModuleNotFoundError as missing:
        # A ledger that is away, like any other: the job was not asked which packages it has.
        raise Unavailable(
            f"Reporting to {url} needs {missing.name}; install it with: pip install 'progress-ledger[remote]'"
        ) from None
    return RemoteLedger.open(url)
