"""A loop as a run, in two lines: ``for path in track(paths, kind="hash"): …``

The loop runs no Python code of ours: what counts is an iterator of the interpreter's own, and the thread
behind looks at it a few times a second.
"""

import operator
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, compress, repeat
from typing import TypeVar

from ..errors import LedgerError
from ..events import Completed, Interrupted
from .ending import LEFT_EARLY
from .line import Line
from .open_run import open_line
from .options import DEFAULT_LEASE, RunOptions, make_spec
from .target import Target

__all__ = ("track",)

_T = TypeVar("_T")

_ENDLESS = 1 << 62


def track(
    iterable: Iterable[_T],
    total: int | None = None,
    *,
    kind: str = "loop",
    unit: str | None = "items",
    ledger: str | os.PathLike[str] | Target | None = None,
    run_id: str | None = None,
    scope: str | None = None,
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
    slot: str | None = None,
    owner: str | None = None,
    lease_seconds: float | None = DEFAULT_LEASE,
    stall_seconds: float | None = None,
    parent: str | None = None,
    retry_of: str | None = None,
    strict: bool = False,
    disabled: bool = False,
    interval: float = 0.25,
    patience: float = 5.0,
) -> Iterator[_T]:
    """The items of ``iterable``, and meanwhile a run that says how many were done.

    The run begins here and is ``completed`` when the items are used up; a loop that is left before that, by
    ``break`` or an exception, ends it ``interrupted`` ("left early"). ``total`` is taken from ``len()``
    where there is one. An item counts as done when the next one is asked for. ``ledger`` and the other
    options are those of :func:`.open_run`, and so are the errors: SlotTaken, RunExists, InvalidRun,
    TooLarge; after that no fault of a ledger reaches the loop, unless ``strict``.
    """
    items = iter(iterable)
    if disabled:
        return items
    if total is None:
        try:
            total = len(iterable)  # type: ignore[arg-type]  # whatever has no length says so
        except TypeError:
            total = None
    handed = repeat(True, _ENDLESS)
    # Not an attribute of the end itself: whoever looks must not keep the end alive.
    reached: list[bool] = []

    def done() -> int:
        # The item in hand is not done yet, until the loop came for one more and there was none.
        count = _ENDLESS - operator.length_hint(handed)
        return count if reached else max(0, count - 1)

    spec = make_spec(
        kind,
        scope=scope,
        title=title,
        total=total,
        unit=unit,
        labels=labels,
        slot=slot,
        owner=owner,
        lease_seconds=lease_seconds,
        stall_seconds=stall_seconds,
        parent=parent,
        retry_of=retry_of,
    )
    options = RunOptions(strict=strict, interval=interval, patience=patience)
    line = open_line(spec, options, ledger=ledger, run_id=run_id, sample=done)
    return chain(compress(items, handed), _End[_T](line, reached))


class _End(Iterator[_T]):
    """Comes after the last item and ends the run. Let go of before that, it was left early."""

    def __init__(self, line: Line, reached: list[bool]) -> None:
        self._line: Line | None = line
        self._reached = reached

    def __next__(self) -> _T:
        if not self._reached:
            self._reached.append(True)
            self._end(Completed())
        raise StopIteration

    def __del__(self) -> None:
        if not self._reached:
            self._end(Interrupted(reason=LEFT_EARLY))

    def _end(self, payload: Completed | Interrupted) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        try:
            if line.owns:
                _, error = line.say(payload, line.options.patience)
                if isinstance(error, LedgerError) and line.options.strict:
                    raise error
        finally:
            line.close()
