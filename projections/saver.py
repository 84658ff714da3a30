"""Keeps what is folded beside the log, in bounded memory, whether or not the log can be written."""

import asyncio
import logging
from collections.abc import Sequence

import anyio

from progress_ledger.ledger.errors import LedgerError, ReadOnly
from progress_ledger.ledger.log import Document, EventLog

from .states import States
from .store import StateStore

__all__ = ("SAVE_SECONDS", "UNKEPT", "Saver")

_logger = logging.getLogger("progress_ledger.projections")

SAVE_SECONDS = 2.0
"""How often what changed is kept: a start after a crash folds again what came later."""

UNKEPT = 1_000
"""Ended runs that may wait to be kept. Those that cannot be are forgotten, and folded when asked for."""

_MARKS = 100
_CROWDED = 8
_PORTION = 50
_REST_SECONDS = 0.0005


class Saver:
    """Saves states from time to time. Nothing here raises because a log cannot be written."""

    def __init__(self, log: EventLog, store: StateStore) -> None:
        self._log = log
        self._store = store
        self._full = asyncio.Event()
        self._last = asyncio.get_running_loop().time()
        self._fails = False

    async def wait(self) -> None:
        """Until something is due to be saved."""
        with anyio.move_on_after(SAVE_SECONDS):
            await self._full.wait()
        self._full.clear()

    def look_at(self, states: States) -> None:
        """Let :meth:`wait` return when too much waits to be saved."""
        if states.unkept >= UNKEPT:
            self._full.set()

    async def relieve(self, states: States, *, checkpoint: bool = True) -> None:
        """Between two pages of a long fold: save all when that is due, else what fills the memory.

        Without ``checkpoint`` the states are not the ones that serve, and only the latter is done.
        """
        if checkpoint and asyncio.get_running_loop().time() - self._last > SAVE_SECONDS:
            await self.save(states)
        elif states.unkept >= UNKEPT or len(states.marks) >= _MARKS:
            await self.save_ended(states)

    def crowded(self, states: States) -> bool:
        """Whether so much waits to be saved that nothing more should be folded before it is."""
        return states.unkept >= _CROWDED * UNKEPT or len(states.marks) >= _CROWDED * _MARKS

    async def make_room(self, states: States) -> None:
        """Between two pages of a fold that readers wait for: save only what would fill the memory.

        All else is left to whoever waits for :meth:`wait`: a save stands in line behind others who write the
        file, for a second and more beside an import.
        """
        if self.crowded(states):
            await self.save_ended(states)

    async def save(self, states: States, *, gently: bool = False) -> None:
        """Keep all that changed, and move the checkpoint; ``gently`` when others want the loop meanwhile."""
        position, ended, changed = states.position, states.ended(), states.changed()
        self._last = asyncio.get_running_loop().time()
        if position == states.saved:
            return
        try:
            await self._store.save_marks(states.take_marks())
            # Histories come first: a start folds what came after the checkpoint, and an end twice is once.
            await states.histories.save(self._log)
            await self._store.save([*ended, *changed], checkpoint=position, gently=gently)
        except LedgerError as error:
            self._failed(error)
            states.keep(ended[:-UNKEPT])
        else:
            self._fails = False
            while ended:
                # What leaves the memory leaves it a few at a time: a thousand states take ten milliseconds.
                states.keep(ended[:_PORTION])
                del ended[:_PORTION]
                if gently:
                    await asyncio.sleep(_REST_SECONDS)
            states.saved = max(position, states.saved)

    async def save_ended(self, states: States) -> None:
        """Keep the ended runs alone; the checkpoint stays where it is."""
        ended = states.ended()
        try:
            await self._store.save_marks(states.take_marks())
            await self._store.save(ended)
        except LedgerError as error:
            self._failed(error)
        states.keep(ended)

    async def keep(self, ended: Sequence[Document], marks: Sequence[Document]) -> None:
        """Keep ended runs' states and long runs' marks that were folded elsewhere."""
        try:
            await self._store.save_marks(marks)
            if ended:
                await self._store.keep(ended)
        except LedgerError as error:
            self._failed(error)

    def _failed(self, error: LedgerError) -> None:
        # A log opened for reading is no fault: whoever only looks keeps nothing.
        if not self._fails and not isinstance(error, ReadOnly):
            _logger.warning("states cannot be kept, the next start folds more: %s", error)
        self._fails = True
