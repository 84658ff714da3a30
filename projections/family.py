"""Runs that have children: what is shown of a parent takes its running children into account."""

from collections.abc import Collection, Iterable, Mapping

from progress_ledger.ledger.events import ACTIVE
from progress_ledger.ledger.times import format_time

from .estimate import longest
from .snapshot import Snapshot
from .state import RunState
from .view import view

__all__ = ("Family", "with_children")


class Family:
    """Which active runs are children of which run."""

    def __init__(self) -> None:
        self._children: dict[str, set[str]] = {}

    def folded(self, state: RunState) -> None:
        """``state`` has just changed."""
        parent = state.parent
        if parent is None:
            return
        if state.status in ACTIVE:
            self._children.setdefault(parent, set()).add(state.run_id)
            return
        children = self._children.get(parent)
        if children is not None:
            children.discard(state.run_id)
            if not children:
                del self._children[parent]

    def rebuild(self, states: Mapping[str, RunState]) -> None:
        """These are all the active runs."""
        self._children = {}
        for state in states.values():
            self.folded(state)

    def children(self, run_id: str) -> Collection[str]:
        """The ids of its active children."""
        return self._children.get(run_id, ())

    def view(self, state: RunState, now: float, states: Mapping[str, RunState]) -> Snapshot:
        """The run at ``now``, its active children among ``states`` taken into account."""
        snapshot = view(state, now)
        ids = self._children.get(state.run_id)
        if not ids:
            return snapshot
        return with_children(snapshot, [view(states[i], now) for i in sorted(ids) if i in states], now)


def with_children(parent: Snapshot, children: Iterable[Snapshot], now: float) -> Snapshot:
    """``parent`` as it looks while ``children`` run beside each other: done no sooner than the last of them.

    Its ETA is the longest of theirs and its own, never their sum; with none of its own, and a child of which
    nothing is known, it has none. Band and basis come with the ETA that was taken.
    """
    running = [child for child in children if child.status in ACTIVE]
    if parent.status != "running" or not running:
        return parent
    seconds = longest(parent.eta_seconds, [child.eta_seconds for child in running])
    if seconds is None or seconds == parent.eta_seconds:
        return parent
    last = next(child for child in running if child.eta_seconds == seconds)
    parent.eta_seconds = seconds
    parent.eta_low, parent.eta_high, parent.eta_basis = last.eta_low, last.eta_high, last.eta_basis
    parent.finish_at = format_time(now + min(seconds, 3e9))
    return parent
