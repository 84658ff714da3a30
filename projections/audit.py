"""Stored run states held against a fresh fold of the log: what was shown is what the events say."""

from array import array
from dataclasses import fields

import msgspec

from progress_ledger.ledger.audit.verify import Finding
from progress_ledger.ledger.log import Recorded
from progress_ledger.ledger.sqlite import SQLiteLog

from .histories import Histories
from .state import RunState
from .states import States
from .store import SPACE, StateStore

__all__ = ("check_states",)

_PAGE = 2_000
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RunState).decode
_POSITIONS = "SELECT position FROM document WHERE space = ? ORDER BY position"


class _Watch:
    """Notes, while the log is folded, each state at the position where one is stored."""

    def __init__(self, positions: "array[int]") -> None:
        self._positions = positions
        self._next = 0
        self.met: list[bytes] = []

    def __call__(self, recorded: Recorded, state: RunState) -> None:
        position = recorded.event.position
        while self._next < len(self._positions) and self._positions[self._next] < position:
            self._next += 1
        if self._next < len(self._positions) and self._positions[self._next] == position:
            # As bytes: the state goes on changing.
            self.met.append(_encode(state))


async def check_states(log: SQLiteLog) -> list[Finding]:
    """Fold the whole log again and compare every stored state with the fold at its position.

    Eight bytes of memory for each stored state. Raises what reading the log raises.
    """
    rows = await log.on_reader(lambda file: file.execute(_POSITIONS, (SPACE,)).fetchall())
    watch = _Watch(array("q", [position for (position,) in rows]))
    end = await log.head()
    kept = Histories()
    await kept.load(log)
    gone = kept.ends()
    store = StateStore(log)
    fresh = States()
    findings: list[Finding] = []
    while fresh.position < end:
        page = [row for row in await log.read(fresh.position, limit=_PAGE) if row[0] <= end]
        if not page:
            break
        start = 0
        while (start := fresh.fold_page(page, start, gone=gone, tell=watch)) < len(page):
            start += 1
        findings += await _compare(store, watch.met)
        watch.met.clear()
        fresh.keep(fresh.ended())
        fresh.marks.clear()
    return findings


async def _compare(store: StateStore, met: list[bytes]) -> list[Finding]:
    states = [_decode(state) for state in met]
    stored = await store.load([state.run_id for state in states])
    findings: list[Finding] = []
    for state in states:
        kept = stored.get(state.run_id)
        if kept is not None and (kept.position != state.position or kept == state):
            continue
        wrong = [] if kept is None else _different(kept, state)
        message = "What is stored of the run " + (
            f"is not what its events say: {', '.join(wrong)}." if wrong else "cannot be read."
        )
        findings.append(
            Finding(kind="wrong_snapshot", message=message, position=state.position, run_id=state.run_id)
        )
    return findings


def _different(one: RunState, other: RunState) -> list[str]:
    names = (field.name for field in fields(RunState))
    return [name for name in names if getattr(one, name) != getattr(other, name)]
