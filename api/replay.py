"""What a returning client missed, read back from the log and framed as it was framed live."""

from progress_ledger.ledger import codec
from progress_ledger.ledger.log import EventLog, Recorded, RunFilter
from progress_ledger.projections import Projector, RunState, apply

from .fanout import Mode, encode_event
from .tail import Entry

__all__ = ("missed_by_filter", "missed_by_run")

_PAGE = 1_000
_SCANNED = 50_000
"""Events of other streams that are read past at most, looking for those of one stream."""


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
    size = min(64, limit + 1)
    while True:
        first = max(0, state.version - size)
        page = await log.read_run(state.run_id, after=first, limit=size)
        missed = [stored for stored in page if stored.position > after]
        if len(missed) < len(page) or first == 0:
            break
        if size > limit:
            return None
        size = min(size * 8, limit + 1)
    if len(missed) > limit:
        return None
    recorded = [
        Recorded(stored.body, codec.decode(stored.body, stored.position))
        for stored in missed
        if stored.body is not None and stored.position <= through
    ]
    return await _framed(projector, log.epoch, recorded, mode=mode)


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
    """The same for all runs of a filter; None also when too much of others lies between."""
    if through - after > _SCANNED:
        return None
    recorded: list[Recorded] = []
    known: dict[str, bool] = {}
    position = after
    while position < through:
        page = await log.read(position, limit=_PAGE)
        if not page:
            break
        events = [(body, codec.decode(body, at)) for at, body in page if body is not None and at <= through]
        strangers = {event.run_id for _, event in events} - known.keys()
        for run_id, head in (await log.runs_by_id(strangers)).items():
            known[run_id] = where.matches(head)
        recorded.extend(Recorded(body, event) for body, event in events if known.get(event.run_id))
        if len(recorded) > limit:
            return None
        position = page[-1][0]
    return await _framed(projector, log.epoch, recorded, mode=mode)


async def _framed(projector: Projector, epoch: str, recorded: list[Recorded], *, mode: Mode) -> list[Entry]:
    states: dict[str, RunState] = {}
    entries: list[Entry] = []
    for one in recorded:
        event = one.event
        state = states.get(event.run_id)
        if state is None and event.version > 1:
            state = await projector.state_at(event.run_id, version=event.version - 1)
        states[event.run_id] = state = apply(state, event)
        entries.append(encode_event(one, state, epoch=epoch, mode=mode))
    return entries
