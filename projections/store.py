"""Run states beside the log, so that a start does not fold it all again."""

from collections.abc import Iterable, Sequence

import msgspec

from progress_ledger.ledger.log import Document, EventLog

from .run import RunState

__all__ = ("SPACE", "StateStore")

SPACE = "run.1"
"""Where states are kept. The number changes with the fold, so that old states are never taken for new ones."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RunState).decode


class StateStore:
    """The persisted states of runs and the position up to which they hold everything."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def checkpoint(self) -> int:
        """The position up to which every state is kept; 0 at first."""
        return await self._log.checkpoint(SPACE)

    async def load(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The kept states of those runs; a state that cannot be read is left out, to be folded again."""
        states: dict[str, RunState] = {}
        for document in await self._log.load_documents(SPACE, run_ids):
            try:
                states[document.key] = _decode(document.value)
            except msgspec.MsgspecError:
                continue
        return states

    async def save(self, states: Iterable[RunState], *, checkpoint: int | None) -> None:
        """Keep ``states``; with ``checkpoint``, all that changed up to it are among them."""
        documents = [Document(state.run_id, state.position, _encode(state)) for state in states]
        await self._log.save_documents(SPACE, documents, checkpoint=checkpoint)

    async def clear(self) -> None:
        """Forget all states; the next start folds the log from zero."""
        await self._log.clear_documents(SPACE)
