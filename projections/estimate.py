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
from collections.abc import Mapping, Sequence
from math import exp, isfinite, log, sqrt
from typing import NamedTuple

from msgspec import Struct

from .curve import CELLS, GRID, Course
from .history import Prior

__all__ = (
    "NOTHING",
    "BAND",
    "FITFUL",
    "HALVES",
    "NARROWEST",
    "NOISE",
    "PLAIN",
    "PRIOR_SHARE",
    "SLOWER",
    "STEADY",
    "UNSTEADY",
    "Estimate",
    "Plan",
    "estimate",
    "longest",
    "overall",
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

BAND = 0.9
"""Part of past errors that lies within the band."""

NARROWEST = 0.05
"""The band is never narrower than this logarithm to either side."""

_MOST = 1e12
_NEWER = tuple((1.0 - 0.5**k, 0.5**k) for k in range(1, HALVES + 1))


class Plan(NamedTuple):
    """A stage the run has or will have: its weight on any scale, and its total where one is known."""

    name: str
    weight: float
    total: int | None = None


class Estimate(Struct, gc=False):
    """Seconds left, finite and never negative, or None when there is no ground for a number.

    `low` and `high` are None until the kind has past errors of its own. `basis` is `history:N`, `declared`,
    `mean` or None. `why` names the numbers behind it.
    """

    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str | None = None
    why: dict[str, float] = {}


NOTHING = Estimate()
"""No number can be given."""


class _Place(NamedTuple):
    stage: str
    share: float
    size: float  # total of the stage, where it is the current one


class _Typical(NamedTuple):
    spent: float
    left: float
    middle: _Place  # where a typical run is after half of what is spent
    later: _Place  # after three quarters


def overall(plan: Sequence[Plan], stage: str, share: float | None) -> float | None:
    """The share of the whole run that is done when `share` of `stage` is; None when that is unknown."""
    if share is None:
        return None
    if len(plan) == 1 and plan[0].name == stage:
        return share
    weights = _weights(plan)
    for k, part in enumerate(plan):
        if part.name == stage:
            return min(1.0, sum(weights[:k]) + weights[k] * share)
    return None


def estimate(
    course: Course,
    prior: Prior | None,
    *,
    plan: Sequence[Plan],
    stage: str,
    done: int,
    total: int | None,
    active: float,
    declared: bool = False,
) -> Estimate:
    """The time left after `active` seconds of work, with `done` of `total` in `stage`.

    `plan` holds the run's stages in order, one named "" for a run without any; `declared` says that its
    weights are the producer's. Pure: nothing passed in is changed, and the same arguments give the same
    answer.
    """
    active = min(_MOST, max(0.0, active)) if isfinite(active) else 0.0
    own = "declared" if declared else "mean"
    typical = None if prior is None else _typical(course, prior, plan, stage, done, total)
    if total is not None and done >= total and _is_last(plan, prior, stage):
        return Estimate(0.0, None, None, own if prior is None or typical is None else f"history:{prior.runs}")
    share = min(1.0, done / total) if total else None
    plain = _plain(course, plan, stage, share, total or 0, active)
    if prior is None or typical is None:
        return (
            NOTHING if plain is None else Estimate(min(_MOST, plain), None, None, own, {"plain_mean": plain})
        )
    seconds = typical.left
    whole = typical.spent + typical.left
    why = {"typical_seconds": whole, "typical_left": typical.left}
    if typical.spent > 1e-6 * whole and active > 0.0:
        tau = typical.spent / whole
        pace, unsteady = _pace(course, typical, active)
        trust = tau / (tau + PRIOR_SHARE * unsteady)
        seconds *= exp(trust * pace)
        why |= {"share_of_time": tau, "pace": exp(pace), "trust_in_this_run": trust}
        if plain is not None and plain > 0.0 and seconds > 0.0:
            part = PLAIN / prior.runs
            seconds = seconds ** (1.0 - part) * plain**part
            why["plain_mean"] = plain
    seconds = min(_MOST, seconds)
    low, high = _band(prior.errors, seconds)
    return Estimate(seconds, low, high, f"history:{prior.runs}", why)


def longest(own: float | None, children: Sequence[float | None]) -> float | None:
    """Time left of a run whose `children` run in parallel: the longest of them and its own, never their sum.

    None when a child's is unknown, unless there is an own one to give.
    """
    if any(child is None for child in children):
        return own
    return max(
        [child for child in children if child is not None] + ([] if own is None else [own]), default=None
    )


def _weights(plan: Sequence[Plan]) -> list[float]:
    whole = sum(max(0.0, part.weight) for part in plan)
    if whole <= 0.0:
        return [1.0 / len(plan)] * len(plan)
    return [max(0.0, part.weight) / whole for part in plan]


def _is_last(plan: Sequence[Plan], prior: Prior | None, stage: str) -> bool:
    if plan and plan[-1].name != stage:
        return False
    later = prior is not None and any(part.name == stage for part in prior.stages[:-1])
    return not (later and len(plan) > 1)


def _pace(course: Course, typical: _Typical, active: float) -> tuple[float, float]:
    """How much slower than typical (a logarithm) the run goes, and how unsteady that is; 1 is usual."""
    pace = log(active / typical.spent)
    middle = course.when(*typical.middle, active)
    later = course.when(*typical.later, active)
    if middle is None or later is None:
        return pace, FITFUL
    least = 1e-3 * active  # a part that took no time at all says no more than a very fast one
    last_half = max(active - middle, least)
    change = log(last_half / max(middle, least)) ** 2
    within = log(max(active - later, least) / max(later - middle, least)) ** 2
    lasting = change / (change + NOISE * within + UNSTEADY**2)
    pace += lasting * log(2.0 * last_half / active)
    return pace, min(FITFUL, STEADY + ((1.0 - lasting) * change + lasting * within) / UNSTEADY**2)


def _typical(
    course: Course, prior: Prior, plan: Sequence[Plan], stage: str, done: int, total: int | None
) -> _Typical | None:
    """What a typical run of this size has behind and before it at this place; None for an unknown stage."""
    at = next((k for k, part in enumerate(prior.stages) if part.name == stage), None)
    if at is None:
        return None
    sizes = {part.name: part.total for part in plan if part.total}
    for past in course.past:
        if past.total:
            sizes[past.name] = past.total
    if total:
        sizes[stage] = total
    scale, usual = _scale(prior, sizes)
    seconds = [part.curve[-1] * by for part, by in zip(prior.stages, scale, strict=True)]
    here = prior.stages[at]
    size = float(total or max(here.total * usual, done, 1.0))
    share = min(1.0, done / size)
    inside = here.spent(share) * scale[at]
    spent = sum(seconds[:at]) + inside
    left = max(0.0, seconds[at] - inside) + sum(seconds[at + 1 :])
    if left <= 0.0:  # past runs were over by now: a hundredth of an even pace, so that it is not nothing
        left = (spent + 1e-9) * max(1.0 - share, 1e-3) / 100.0

    def place(want: float) -> _Place:
        for k in range(at):
            if want <= seconds[k]:
                return _Place(prior.stages[k].name, _reached(prior.stages[k].curve, want / scale[k]), 0.0)
            want -= seconds[k]
        return _Place(here.name, min(share, _reached(here.curve, want / scale[at])), size)

    return _Typical(spent, left, place(0.5 * spent), place(0.75 * spent))


def _scale(prior: Prior, sizes: Mapping[str, int]) -> tuple[list[float], float]:
    """How much larger than in the typical run each stage is, and what that is where a size is unknown."""
    ratios = [
        sizes[part.name] / part.total if part.total and part.name in sizes else 0.0 for part in prior.stages
    ]
    known = sorted(ratio for ratio in ratios if ratio)
    if not known:
        return [1.0] * len(ratios), 1.0
    n = len(known)
    usual = known[n // 2] if n % 2 else sqrt(known[n // 2 - 1] * known[n // 2])
    return [ratio or usual for ratio in ratios], usual


def _reached(curve: Sequence[float], seconds: float) -> float:
    """The share at which `curve` reaches `seconds`."""
    k = bisect_left(curve, seconds)
    if k >= CELLS:
        return 1.0
    low, start = (GRID[k - 1], curve[k - 1]) if k else (0.0, 0.0)
    rise = curve[k] - start
    return low + (GRID[k] - low) * (seconds - start) / rise if rise > 0.0 else low


def _plain(
    course: Course, plan: Sequence[Plan], stage: str, share: float | None, size: int, active: float
) -> float | None:
    """The plain mean, moved towards the pace of the newer halves of the work."""
    reached = overall(plan, stage, share)
    if reached is None or reached <= 0.0 or active <= 0.0:
        return None
    mean = active * (1.0 - reached) / reached
    if mean <= 0.0:
        return 0.0
    if len(plan) == 1 and plan[0].name == stage == course.stage:
        return mean * _drift_alone(course, reached * size, active)
    weights = _weights(plan)
    moved = 0.0
    part = 1.0
    for _ in range(HALVES):
        part /= 2.0
        begun = _when(course, plan, weights, stage, reached * (1.0 - part), size, active)
        if begun is not None:
            moved += log(max((active - begun) / active / part, 1e-3))
    moved /= HALVES + 1
    return mean * exp(moved if moved < 0.0 else SLOWER * moved)


def _drift_alone(course: Course, done: float, active: float) -> float:
    # The same for a run in one stage, as nearly every run is, and asked for by each of its frames: without
    # the way over the plan, and with the logarithm of a product for the sum of logarithms.
    reached, at = course.done, course.at
    product = 1.0
    for kept, part in _NEWER:
        want = kept * done
        k = bisect_left(reached, want)
        if k == len(reached):
            begun = min(at[k - 1] if k else course.begun, active)
        else:
            d0, t0 = (reached[k - 1], at[k - 1]) if k else (0, course.begun)
            rise = reached[k] - d0
            begun = t0 + (at[k] - t0) * (want - d0) / rise if rise > 0 else t0
        product *= max((active - begun) / active / part, 1e-3)
    moved = log(product) / (HALVES + 1)
    return exp(moved if moved < 0.0 else SLOWER * moved)


def _when(
    course: Course,
    plan: Sequence[Plan],
    weights: Sequence[float],
    stage: str,
    reached: float,
    size: int,
    active: float,
) -> float | None:
    """Active seconds when `reached` of the whole run was done."""
    for part, weight in zip(plan, weights, strict=True):
        if reached <= weight or part.name == stage:
            inside = min(1.0, reached / weight) if weight > 0.0 else 0.0
            return course.when(part.name, inside, size, active)
        reached -= weight
    return None


def _band(errors: Sequence[float], seconds: float) -> tuple[float | None, float | None]:
    """Around `seconds`, as wide as nine in ten past errors, and wider while they are few."""
    n = len(errors)
    if not n:
        return None, None
    width = max(NARROWEST, errors[min(n - 1, int(BAND * (n + 1)))] * (1.0 + 2.0 / n))
    return seconds * exp(-min(50.0, width)), min(_MOST, seconds * exp(min(50.0, width)))
