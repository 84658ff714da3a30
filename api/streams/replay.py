"""What a returning reader missed, read back from the log and framed as it was framed live."""

from collections.abc import Iterable

from progress_ledger.ledger import codec
from progress_ledger.ledger.events import Event
from progress_ledger.ledger.log import EventLog, Recorded, RunFilter, RunHead
from progress_ledger.projections import Projector, RunState, apply

from .framing import Mode, encode_event
from .tail import Entry

__all__ = ("last_frame", "missed_by_filter", "missed_by_run")

_PAGE = 1_000
_SCANNED = 50_000
"""Events of other streams that are read past, looking for those of one stream, before its runs are asked
one by one."""

_ASKED = 1_000
"""Runs of a stream that are asked one by one."""


async def missed_by_run(
    log: EventLog,
    projector: Projector,
    state: RunState,
    *,
    after: int,
    through: int,
    limit: int,
    mode: Mode,
) -> list[Entry] | None:
    """The run's events with a position > ``after`` and ≤ ``through``, oldest first; None when they are
    more than ``limit``. Raises Pruned."""
    missed = await _tail_of_run(log, state.run_id, state.version, after=after, through=through, limit=limit)
    return None if missed is None else await _framed(projector, log.epoch, missed, mode=mode)


async def missed_by_filter(
    log: EventLog,
    projector: Projector,
    where: RunFilter,
    *,
    after: int,
    through: int,
    limit: int,
    mode: Mode,
) -> list[Entry] | None:
    """The same for all runs of a filter; None also when it cannot be told at a bearable cost."""
    missed = await _scan(log, where, after=after, through=min(through, after + _SCANNED), limit=limit)
    if missed is not None and through - after > _SCANNED:
        missed = await _ask_runs(log, where, after=after, through=through, limit=limit)
    return None if missed is None else await _framed(projector, log.epoch, missed, mode=mode)


async def last_frame(log: EventLog, state: RunState, *, mode: Mode) -> Entry | None:
    """The terminal frame of a run that is over, as it was sent. Raises Pruned."""
    page = await log.read_run(state.run_id, after=state.version - 1, limit=1)
    for stored in page:
        if stored.body is not None:
            recorded = Recorded(stored.body, codec.decode(stored.body, stored.position))
            return encode_event(recorded, state, epoch=log.epoch, mode=mode)
    return None


async def _tail_of_run(
    log: EventLog, run_id: str, version: int, *, after: int, through: int, limit: int
) -> list[Recorded] | None:
    # Read backwards in growing steps: what is missed is nearly always little.
    size = min(64, limit + 1)
    while True:
        first = max(0, version - size)
        page = await log.read_run(run_id, after=first, limit=version - first)
        missed = [stored for stored in page if stored.position > after]
        if len(missed) > limit:
            return None
        if len(missed) < len(page) or first == 0:
            break
        size = min(size * 8, limit + 1)
    return [
        Recorded(stored.body, codec.decode(stored.body, stored.position))
        for stored in missed
        if stored.body is not None and stored.position <= through
    ]


async def _scan(
    log: EventLog, where: RunFilter, *, after: int, through: int, limit: int
) -> list[Recorded] | None:
    missed: list[Recorded] = []
    known: dict[str, bool] = {}
    position = after
    while position < through:
        page = await log.read(position, limit=_PAGE)
        if not page:
            break
        events: list[tuple[bytes, Event]] = []
        for at, body in page:
            if at > through:
                break
            if body is None:
                # Pruned: whose it was cannot be told, and so not that nothing was missed.
                return None
            events.append((body, codec.decode(body, at)))
        strangers = {event.run_id for _, event in events} - known.keys()
        for run_id, head in (await log.runs_by_id(strangers)).items():
            known[run_id] = where.matches(head)
        missed.extend(Recorded(body, event) for body, event in events if known.get(event.run_id))
        if len(missed) > limit:
            return None
        position = page[-1][0]
    return missed


async def _ask_runs(
    log: EventLog, where: RunFilter, *, after: int, through: int, limit: int
) -> list[Recorded] | None:
    heads: list[RunHead] = []
    asked = 0
    number: int | None = None
    while True:
        page = await log.runs(where, after=number, limit=500)
        asked += len(page.runs)
        if asked > _ASKED:
            return None
        heads.extend(head for head in page.runs if head.last > after)
        if any(head.pruned is not None for head in heads):
            return None
        number = page.next
        if number is None:
            break
    missed: list[Recorded] = []
    for head in heads:
        events = await _tail_of_run(
            log, head.run_id, head.version, after=after, through=through, limit=limit - len(missed)
        )
        if events is None:
            return None
        missed += events
    return sorted(missed, key=lambda one: one.event.position)


async def _framed(
    projector: Projector, epoch: str, recorded: Iterable[Recorded], *, mode: Mode
) -> list[Entry]:
    states: dict[str, RunState] = {}
    entries: list[Entry] = []
    for one in recorded:
        event = one.event
        state = states.get(event.run_id)
        if state is None:
            # The first one too: only the projector knows what history said when the run began.
            state = await projector.state_at(event.run_id, version=max(1, event.version - 1))
        states[event.run_id] = state = apply(state, event)
        entries.append(encode_event(one, state, epoch=epoch, mode=mode))
    return entries
