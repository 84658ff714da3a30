"""What a run's estimates stand on for as long as its stage, totals and stages stay what they are.

Every frame of a run shows an ETA. What no tick changes is worked out once a stage, and again when a total
changes, instead of with each of them.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import exp, sqrt
from typing import NamedTuple

from .curve import CELLS, GRID, Course, StageCourse, along, even_cells
from .history import Prior

__all__ = ("BAND", "NARROWEST", "Ground", "Met", "Plan", "Typical", "reached")


BAND = 0.9
"""Part of past errors that lies within the band."""

NARROWEST = 0.05
"""The band is never narrower than this logarithm to either side."""


class Plan(NamedTuple):
    """A stage the run has or will have: its weight on any scale, and its total where one is known."""

    name: str
    weight: float
    total: int | None = None


class Met:
    """A stage of this run that is over, to be asked when a share of it was done."""

    __slots__ = ("_begun", "_curve")

    def __init__(self, past: StageCourse) -> None:
        self._begun = past.begun
        self._curve = list(accumulate(past.cells or even_cells(past.seconds)))

    def at(self, share: float) -> float:
        """Active seconds of the run when ``share`` of this stage was done."""
        return self._begun + along(self._curve, share)


class Typical:
    """The typical run of a kind at the size of this run, seen from one of its stages.

    ``curve`` and ``scale`` are the stage's (multiplied, they are its seconds), ``behind``, ``here`` and
    ``ahead`` the seconds of the stages before it, of itself and after it; ``before`` has those before it one
    by one: seconds, curve, scale, and this run's where it has been there. ``size`` is the stage's total where
    the run knows none.
    """

    __slots__ = ("ahead", "before", "behind", "curve", "here", "runs", "scale", "size")

    def __init__(self, prior: Prior, at: int, sizes: Mapping[str, int], met: Mapping[str, Met]) -> None:
        scale, usual = _scale(prior, sizes)
        seconds = [part.curve[-1] * by for part, by in zip(prior.stages, scale, strict=True)]
        self.runs = prior.runs
        self.curve = prior.stages[at].curve
        self.scale = scale[at]
        self.behind = sum(seconds[:at])
        self.here = seconds[at]
        self.ahead = sum(seconds[at + 1 :])
        self.before = [
            (seconds[k], prior.stages[k].curve, scale[k], met.get(prior.stages[k].name)) for k in range(at)
        ]
        self.size = prior.stages[at].total * usual


class Ground:
    """A run's place among its stages, by their weights and, where its kind has a history, by their time.

    ``before`` is the share of the run that lies before the stage and ``weight`` that of the stage itself,
    None and 0 for a stage that is not in the plan; ``others`` are the stages before it: begin, end, and this
    run's where it has been there. ``total`` is 0 where none is known. ``last`` says that the run is over with
    the stage, ``spread`` how many times larger or smaller than said the truth may be, None while nothing is
    known of that, ``own`` what a number from this run alone rests on, ``basis`` what the best one does. It
    never changes, and holds while the arguments would be the same.
    """

    __slots__ = ("basis", "before", "last", "others", "own", "spread", "total", "typical", "weight")

    def __init__(
        self,
        course: Course,
        prior: Prior | None,
        *,
        plan: Sequence[Plan],
        total: int | None,
        declared: bool = False,
    ) -> None:
        stage = course.stage
        met = {past.name: Met(past) for past in course.past if past.name != stage}
        self.total = total or 0
        self.own = self.basis = "declared" if declared else "mean"
        self.spread: float | None = None
        self.before: float | None = None
        self.weight = 0.0
        self.others: list[tuple[float, float, Met | None]] = []
        begin = 0.0
        for part, weight in zip(plan, _shares(plan), strict=True):
            if part.name == stage:
                self.before, self.weight = begin, weight
                break
            self.others.append((begin, begin + weight, met.get(part.name)))
            begin += weight
        self.typical: Typical | None = None
        if prior is not None:
            at = next((k for k, part in enumerate(prior.stages) if part.name == stage), None)
            if at is not None:
                self.typical = Typical(prior, at, _sizes(course, plan, total), met)
                self.basis = f"history:{prior.runs}"
                self.spread = _spread(prior.errors)
        self.last = total is not None and _is_last(plan, prior, stage)


def reached(curve: Sequence[float], seconds: float) -> float:
    """The share at which ``curve`` reaches ``seconds``."""
    k = bisect_left(curve, seconds)
    if k >= CELLS:
        return 1.0
    low, start = (GRID[k - 1], curve[k - 1]) if k else (0.0, 0.0)
    rise = curve[k] - start
    return low + (GRID[k] - low) * (seconds - start) / rise if rise > 0.0 else low


def _shares(plan: Sequence[Plan]) -> list[float]:
    whole = sum(max(0.0, part.weight) for part in plan)
    if whole <= 0.0:
        return [1.0 / len(plan)] * len(plan)
    return [max(0.0, part.weight) / whole for part in plan]


def _spread(errors: Sequence[float]) -> float | None:
    """As wide as nine in ten past errors, and wider while they are few."""
    n = len(errors)
    if not n:
        return None
    return exp(min(50.0, max(NARROWEST, errors[min(n - 1, int(BAND * (n + 1)))] * (1.0 + 2.0 / n))))


def _is_last(plan: Sequence[Plan], prior: Prior | None, stage: str) -> bool:
    if plan and plan[-1].name != stage:
        return False
    later = prior is not None and any(part.name == stage for part in prior.stages[:-1])
    return not (later and len(plan) > 1)


def _sizes(course: Course, plan: Sequence[Plan], total: int | None) -> dict[str, int]:
    sizes = {part.name: part.total for part in plan if part.total}
    for past in course.past:
        if past.total:
            sizes[past.name] = past.total
    if total:
        sizes[course.stage] = total
    return sizes


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
