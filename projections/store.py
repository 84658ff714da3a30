"""Run states beside the log, so that a start does not fold it all again, nor a look into the past."""

from asyncio import sleep
from collections.abc import Sequence

import msgspec

from progress_ledger.ledger.log import Document, EventLog

from .state import RunState

__all__ = ("MARKS", "MARK_EVERY", "SPACE", "StateStore", "document_of", "mark_of", "state_of")

SPACE = "run.1"
"""Where states are kept. The number changes with the fold: old states are never taken for new ones."""

MARKS = "mark.1"
"""Where long runs' states at earlier versions are kept; the number goes with that of :data:`SPACE`."""

MARK_EVERY = 4_096
"""A run's state is marked every so many versions: its past is never folded from further away."""

_CHUNK = 500
_SMALL_CHUNK = 120
_STEP = 40
_REST_SECONDS = 0.0005

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RunState).decode
_decode_json = msgspec.json.Decoder(RunState).decode


def document_of(state: RunState) -> Document:
    """The state as it is kept; :func:`state_of` gives it back."""
    return Document(state.run_id, state.position, _encoded(state))


def state_of(document: Document) -> RunState | None:
    """The state that was kept; None when it cannot be read."""
    value = document.value
    try:
        return _decode_json(value) if value[:1] == b"{" else _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def mark_of(state: RunState) -> Document:
    """The state as it is now, to be found again by its version."""
    return Document(_mark_key(state.run_id, state.version), state.position, _encoded(state))


class StateStore:
    """The persisted states of runs and the position up to which they hold everything.

    All of it may be lost: what is missing, cannot be read or lies behind is folded again from the log.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def checkpoint(self) -> int:
        """The position up to which every state was kept; 0 at first."""
        return await self._log.checkpoint(SPACE)

    async def load(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The kept states of those runs; a state that cannot be read is left out, to be folded again."""
        states: dict[str, RunState] = {}
        for document in await self._log.load_documents(SPACE, run_ids):
            state = state_of(document)
            if state is not None and state.run_id == document.key:
                states[document.key] = state
        return states

    async def save(
        self, states: Sequence[RunState], *, checkpoint: int | None = None, gently: bool = False
    ) -> None:
        """Keep ``states``; with ``checkpoint``, all that changed up to it are among them or kept before.

        ``gently`` leaves the loop and the file to others again and again, and takes twice as long.
        """
        size = _SMALL_CHUNK if gently else _CHUNK
        for start in range(0, len(states), size):
            chunk: list[Document] = []
            for state in states[start : start + size]:
                chunk.append(document_of(state))
                if gently and len(chunk) % _STEP == 0:
                    # A chunk as a whole would hold up the loop for two milliseconds; and a turn of the loop
                    # without a rest would be none for threads that wait to come to a word.
                    await sleep(_REST_SECONDS)
            await self.keep(chunk)
        if checkpoint is not None:
            await self._log.save_documents(SPACE, (), checkpoint=checkpoint)

    async def keep(self, documents: Sequence[Document]) -> None:
        """Keep what :func:`document_of` made."""
        await self._log.save_documents(SPACE, documents)

    async def save_marks(self, marks: Sequence[Document]) -> None:
        """Keep what :func:`mark_of` made."""
        if marks:
            await self._log.save_documents(MARKS, marks)

    async def mark(self, run_id: str, version: int) -> RunState | None:
        """The run's state at that version, if it was marked and can be read."""
        for document in await self._log.load_documents(MARKS, (_mark_key(run_id, version),)):
            state = state_of(document)
            if state is not None and (state.run_id, state.version) == (run_id, version):
                return state
        return None

    async def clear(self) -> None:
        """Forget all states; the next start folds the log from zero."""
        await self._log.clear_documents(SPACE)
        await self._log.clear_documents(MARKS)


def _mark_key(run_id: str, version: int) -> str:
    return f"{run_id} {version}"


def _encoded(state: RunState) -> bytes:
    try:
        return _encode(state)
    except OverflowError:
        # A result may hold integers of any size, which only JSON can write. A map in msgpack never
        # begins with a brace, so the two are told apart by their first byte.
        return msgspec.json.encode(state)
