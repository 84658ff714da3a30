"""Folding a good many events into states that nobody looks at yet, where the log is read."""

from progress_ledger.ledger.log import EventLog

from .past import Page
from .states import Ends, States

__all__ = ("PIECE", "fold_apart")

PIECE = 20_000
"""Events folded before the event loop is asked what else there is to do."""

_NONE: Ends = {}


async def fold_apart(log: EventLog, states: States, through: int, *, gone: Ends = _NONE) -> Page:
    """Fold the next :data:`PIECE` events after ``states.position``, none beyond ``through``.

    Returns what is left of a page whose next event needs a run that is not in ``states``; the caller brings
    it. ``gone`` are the summaries of pruned runs, by the position of their end. On the thread that reads, the
    fold does not pass every row from one processor to another, which costs as much as the fold.
    Raises Unavailable when the log cannot be read.
    """
    rest: list[tuple[int, bytes | None]] = []

    def visit(page: Page) -> bool:
        stopped = states.fold_page(page, gone=gone)
        rest.extend(page[stopped:])
        return not rest

    before = states.position
    await log.scan(before, through=through, limit=PIECE, visit=visit)
    if states.position == before and not rest:
        # The newest positions were deleted; nothing will ever appear there.
        states.position = through
    return rest
