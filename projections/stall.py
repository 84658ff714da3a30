"""How long a running run may be silent before it counts as stalled, and which reason set the limit.

Only progress ends a silence; a heartbeat says that the producer is alive, which is another matter.
"""

from collections.abc import Sequence
from typing import NamedTuple

from .curve import DECILES

__all__ = ("STALL_SECONDS", "USUAL_GAPS", "Limit", "is_cut", "limit")

STALL_SECONDS = 60.0
"""No run is called stalled sooner, unless its spec says so."""

USUAL_GAPS = 10.0
"""A silence of this many usual gaps is still none."""

_CUT = 5.0  # a silence this many times longer than any that history knows is an accident, not work


class Limit(NamedTuple):
    """Seconds of silence allowed, and why: `declared`, `default`, `usual_gap` or `history`."""

    seconds: float
    because: str


def limit(
    declared: float | None, usual_gap: float | None, gaps: Sequence[float], share: float | None
) -> Limit:
    """The limit for a run at `share` of its work (None: unknown), whose kind's longest silences are `gaps`.

    What the run declared wins. Else the longest of 60 s, ten of this run's usual gaps, and the longest
    silence that past runs had at this point: in this tenth of the run or one beside it, anywhere when the
    point is unknown.
    """
    if declared is not None:
        return Limit(declared, "declared")
    found = Limit(STALL_SECONDS, "default")
    if usual_gap is not None and usual_gap * USUAL_GAPS > found.seconds:
        found = Limit(usual_gap * USUAL_GAPS, "usual_gap")
    if gaps:
        near = gaps
        if share is not None:
            tenth = min(DECILES - 1, max(0, int(share * DECILES)))
            near = gaps[max(0, tenth - 1) : tenth + 2]
        longest = max(near, default=0.0)
        if longest > found.seconds:
            found = Limit(longest, "history")
    return found


def is_cut(seconds: float, declared: float | None, gaps: Sequence[float], typical: float | None) -> bool:
    """Whether a silence of `seconds` was a stall that must not teach later runs.

    `typical` is the duration of a typical run of the kind, None without history. True beyond what the run
    declared; else beyond two typical runs and far beyond any silence that past runs went through. Without
    history nobody can tell a stall from one dear item.
    """
    if declared is not None:
        return seconds > declared
    return typical is not None and seconds > 2.0 * typical and seconds > _CUT * max(gaps, default=0.0)
