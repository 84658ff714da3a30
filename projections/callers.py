"""Those who wait for the fold: each until it shows what was in the log when they came."""

import asyncio
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from progress_ledger.ledger.errors import LedgerError

__all__ = ("Caller", "Callers")


class Caller(NamedTuple):
    """Somebody who waits for the runs with the ids ``runs``, or with None for everything."""

    runs: tuple[str, ...] | None
    answered: asyncio.Future[None]

    def answer(self) -> None:
        """It need not wait any more."""
        if not self.answered.done():
            self.answered.set_result(None)


class Callers:
    """The newcomers, for whom nobody looked at the log yet, and those who wait for a position."""

    def __init__(self) -> None:
        self._newcomers: list[Caller] = []
        self._waiting: list[tuple[int, int, Caller]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._newcomers) + len(self._waiting)

    def come(self, runs: Iterable[str] | None = None) -> asyncio.Future[None]:
        """What a new caller awaits."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._newcomers.append(Caller(None if runs is None else tuple(runs), answered))
        return answered

    def take(self) -> list[Caller]:
        """The newcomers: a look at the log that begins now is for them. They are no newcomers any more."""
        newcomers, self._newcomers = self._newcomers, []
        return newcomers

    def place(self, taken: Iterable[Caller], *, fold: int, head: int, needed: Mapping[str, int]) -> None:
        """Answer those for whom a fold at ``fold`` is far enough; the others wait.

        Who wants everything needs it at ``head``, who wants runs at the greatest position ``needed`` by one.
        """
        for caller in taken:
            runs = caller.runs
            position = head if runs is None else max((needed.get(run_id, 0) for run_id in runs), default=0)
            if position <= fold:
                caller.answer()
            else:
                heappush(self._waiting, (position, next(self._numbers), caller))

    def waits(self, position: int) -> bool:
        """Whether anybody waits for that position, or an earlier one."""
        return bool(self._waiting) and self._waiting[0][0] <= position

    def reached(self, position: int) -> None:
        """Answer those who waited for that position, or an earlier one."""
        while self.waits(position):
            heappop(self._waiting)[2].answer()

    def fail(self, error: LedgerError, taken: Iterable[Caller] = ()) -> None:
        """``error`` is the answer to ``taken`` and to all who wait for a position."""
        waiting, self._waiting = self._waiting, []
        for caller in (*taken, *(caller for _, _, caller in waiting)):
            if not caller.answered.done():
                caller.answered.set_exception(error)
