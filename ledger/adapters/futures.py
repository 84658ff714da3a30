"""Futures as a run: each that is done advances it, however it was made."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from ..producers.open_run import OpenRun
from ..producers.run import Run

__all__ = ("counted",)


class _Future(Protocol):
    def add_done_callback(self, callback: Callable[[Any], object], /) -> None: ...
    def cancelled(self) -> bool: ...
    def exception(self) -> BaseException | None: ...


_F = TypeVar("_F", bound=_Future)


def counted(futures: Iterable[_F], run: Run | OpenRun) -> list[_F]:
    """The futures, each of which advances ``run`` by one when it is done, and counts how it ended:
    ``passed``, ``failed`` or ``cancelled``.

    For those of :mod:`concurrent.futures` and of :mod:`asyncio`, before ``as_completed``, ``wait`` or
    ``gather``::

        for future in as_completed(counted(futures, run)):
            …
    """
    kept = list(futures)
    for future in kept:
        future.add_done_callback(lambda done: run.advance(1, {_outcome(done): 1}))
    return kept


def _outcome(future: _Future) -> str:
    if future.cancelled():
        return "cancelled"
    return "passed" if future.exception() is None else "failed"
