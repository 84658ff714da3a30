"""The remaining time of a run: from its kind's history where there is one, else from its own pace.

With history, the place a run has reached (a stage and the share of it) says how long a typical run of this
size has `spent` there and has `left`. The answer is `left` times a power of how much slower this run is
than typical, (active / spent) ** trust. The typical run is believed at first and this run later, the sooner
the steadier its pace against the typical one; a change of pace counts as lasting as far as it is larger
than what the pace does anyway. A little of the plain mean is mixed in while history is thin.

Without history the answer is the plain mean, moved towards the pace of the newer parts of the work, and
more so when they went faster. No constant is in seconds: a job sixty times slower gets the same numbers
times sixty.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import exp, isfinite, log

from msgspec import Struct

from .curve import Course, along
from .ground import Ground, Typical, reached

__all__ = (
    "NOTHING",
    "FITFUL",
    "HALVES",
    "NOISE",
    "PLAIN",
    "PRIOR_SHARE",
    "SLOWER",
    "STEADY",
    "UNSTEADY",
    "Estimate",
    "estimate",
    "longest",
)

PRIOR_SHARE = 0.6
"""After this share of its time a run with a changing pace counts as much as its history."""

UNSTEADY = 0.5
"""What a changing pace is: this logarithm between the later half and the first."""

STEADY = 0.1
"""Of a perfectly steady run, this part of `PRIOR_SHARE` is enough."""

FITFUL = 4.0
"""However fitful the pace, no more than this many times `PRIOR_SHARE` are asked."""

NOISE = 2.0
"""A change of pace lasts as far as it outweighs this many times the change within the later half (squares).
"""

PLAIN = 0.1
"""Part of the plain mean in the answer, divided by the number of past runs."""

HALVES = 3
"""Without history the pace is the (geometric) mean of those over all of the work, its last half, quarter and
eighth.
"""

SLOWER = 0.3
"""A pace that falls is believed by this part: mostly it is one dear item, while a gain in speed mostly lasts.
"""

_MOST = 1e12
_NEWER = tuple((1.0 - 0.5**k, 0.5**k) for k in range(1, HALVES + 1))


class Estimate(Struct, gc=False):
    """Seconds left, finite and never negative, or None when there is no ground for a number.

    `low` and `high` are None until the kind has past errors of its own. `basis` is `history:N`, `declared`,
    `mean` or None. `why` names the numbers behind it, where they were asked for.
    """

    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str | None = None
    why: dict[str, float] = {}


_UNASKED: dict[str, float] = {}

NOTHING = Estimate()
"""No number can be given."""


def estimate(ground: Ground, course: Course, done: int, active: float, *, explain: bool = False) -> Estimate:
    """The time left after `active` seconds of work, with `done` of the stage's total done.

    Pure: nothing passed in is changed, and the same arguments give the same answer. With `explain` it says
    why.
    """
    total = ground.total
    if ground.last and done >= total:
        return Estimate(0.0, None, None, ground.basis)
    if not 0.0 <= active <= _MOST:
        active = min(_MOST, max(0.0, active)) if isfinite(active) else 0.0
    plain = _plain(ground, course, done, active) if total else None
    typical = ground.typical
    if typical is None:
        if plain is None:
            return NOTHING
        if plain > _MOST:
            plain = _MOST
        why: dict[str, float] = {"plain_mean": plain} if explain else _UNASKED
        return Estimate(plain, None, None, ground.own, why)
    size = float(total or max(typical.size, done, 1.0))
    share = min(1.0, done / size)
    inside = along(typical.curve, share) * typical.scale
    spent = typical.behind + inside
    left = max(0.0, typical.here - inside) + typical.ahead
    if left <= 0.0:  # past runs were over by now: a hundredth of an even pace, so that it is not nothing
        left = (spent + 1e-9) * max(1.0 - share, 1e-3) / 100.0
    whole = spent + left
    seconds = left
    why = {"typical_seconds": whole, "typical_left": left} if explain else _UNASKED
    if spent > 1e-6 * whole and active > 0.0:
        tau = spent / whole
        pace = log(active / spent)  # how much slower than typical the run goes
        change, unsteady = _change(typical, course, spent, share, size, active)
        pace += change
        trust = tau / (tau + PRIOR_SHARE * unsteady)
        seconds *= exp(trust * pace)
        if explain:
            why |= {"share_of_time": tau, "pace": exp(pace), "trust_in_this_run": trust}
        if plain is not None and plain > 0.0 and seconds > 0.0:
            part = PLAIN / typical.runs
            seconds = seconds ** (1.0 - part) * plain**part
            if explain:
                why["plain_mean"] = plain
    seconds = min(_MOST, seconds)
    spread = ground.spread
    if spread is None:
        return Estimate(seconds, None, None, ground.basis, why)
    return Estimate(seconds, seconds / spread, min(_MOST, seconds * spread), ground.basis, why)


def longest(own: float | None, children: Sequence[float | None]) -> float | None:
    """Time left of a run whose `children` run in parallel: the longest of them and its own, never their sum.

    None when a child's is unknown, unless there is an own one to give.
    """
    if any(child is None for child in children):
        return own
    return max(
        [child for child in children if child is not None] + ([] if own is None else [own]), default=None
    )


def _change(
    typical: Typical, course: Course, spent: float, share: float, size: float, active: float
) -> tuple[float, float]:
    """How much slower the run goes of late (a logarithm), and how unsteady its pace is; 1 is usual."""
    middle = _when(typical, course, 0.5 * spent, share, size, active)
    later = _when(typical, course, 0.75 * spent, share, size, active)
    if middle is None or later is None:
        return 0.0, FITFUL
    least = 1e-3 * active  # a part that took no time at all says no more than a very fast one
    last_half, last_quarter, third_quarter = active - middle, active - later, later - middle
    if middle < least:
        middle = least
    if last_half < least:
        last_half = least
    if last_quarter < least:
        last_quarter = least
    if third_quarter < least:
        third_quarter = least
    change = log(last_half / middle) ** 2
    within = log(last_quarter / third_quarter) ** 2
    lasting = change / (change + NOISE * within + UNSTEADY**2)
    unsteady = STEADY + ((1.0 - lasting) * change + lasting * within) / UNSTEADY**2
    return lasting * log(2.0 * last_half / active), min(FITFUL, unsteady)


def _when(
    typical: Typical, course: Course, want: float, share: float, size: float, active: float
) -> float | None:
    """Active seconds when this run was where a typical run is after `want` seconds."""
    for seconds, curve, scale, met in typical.before:
        if want <= seconds:
            return None if met is None else met.at(reached(curve, want / scale))
        want -= seconds
    place = reached(typical.curve, want / typical.scale)
    return course.reached(min(share, place) * size, active)


def _plain(ground: Ground, course: Course, done: int, active: float) -> float | None:
    """The plain mean, moved towards the pace of the newer halves of the work."""
    before = ground.before
    if before is None or active <= 0.0:
        return None
    total, weight, others = ground.total, ground.weight, ground.others
    part_done = done / total if done < total else 1.0
    share = before + weight * part_done
    if share <= 0.0:
        return None
    mean = active * (1.0 - share) / share
    if mean <= 0.0:
        return 0.0
    points, at = course.done, course.at
    met = len(points)
    # What was done of this stage when a part of all that is done now was: a straight line.
    slope = share / weight * total if weight > 0.0 else 0.0
    behind = before / weight * total if weight > 0.0 else 0.0
    k = 0
    product = 1.0  # the sum of logarithms is the logarithm of this
    for kept, part in _NEWER:
        if others and kept * share <= before:
            found = _met(ground, kept * share)
            if found is None:
                continue
            begun = found
        else:
            want = kept * slope - behind
            k = bisect_left(points, want, k)
            if k == met:
                begun = at[-1] if met else course.begun
                if begun > active:
                    begun = active
            else:
                reach, time = points[k], at[k]
                d0, t0 = 0, course.begun
                if k:
                    d0, t0 = points[k - 1], at[k - 1]
                begun = t0 + (time - t0) * (want - d0) / (reach - d0) if reach > d0 else t0
        gone = (active - begun) / active / part
        if gone < 1e-3:
            gone = 1e-3
        product *= gone
    moved = log(product) / (HALVES + 1)
    return mean * exp(moved if moved < 0.0 else SLOWER * moved)


def _met(ground: Ground, share: float) -> float | None:
    """Active seconds when `share` of the whole run was done, where that was in an earlier stage."""
    for begin, end, met in ground.others:
        if share <= end:
            if met is None:
                return None
            return met.at(min(1.0, (share - begin) / (end - begin)) if end > begin else 0.0)
    return None
