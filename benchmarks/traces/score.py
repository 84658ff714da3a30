"""How far answers were from the truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import inf, isfinite, log2
from statistics import fmean

from .sides import Answer
from .trace import Trace

__all__ = ("Score", "average", "errors", "score")

_MOST_RELATIVE = 5.0
_MOST_LOG = log2(10.0)
_MOST_RATIO = 100.0


@dataclass(slots=True)
class Score:
    """One run's, or a mean of several.

    `mare` mean absolute relative error, a point counting 5 at most and a missing answer 1; `log2` mean
    |log2(answer / truth)|, at most that of 10, which a missing one counts; `in20` share of instants within
    20 % of the truth; `p90` 90th percentile of max(answer / truth, truth / answer), at most 100; `coverage`
    share of the bands given that held the truth and `width` their upper over lower end (geometric mean),
    None without any; `jitter` how far the predicted moment of the finish wandered, in lengths of the run.
    """

    mare: float
    log2: float
    in20: float
    p90: float
    jitter: float
    coverage: float | None = None
    width: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """Rounded to what the figures can bear."""
        return {name: None if value is None else round(value, 4) for name, value in asdict(self).items()}


def errors(trace: Trace, answers: Sequence[Answer]) -> list[float]:
    """|log2(answer / truth)| at each instant, capped."""
    found: list[float] = []
    for moment, answer in zip(trace.instants(), answers, strict=True):
        left = trace.seconds - moment
        given = answer.seconds
        found.append(
            min(_MOST_LOG, abs(log2(given / left))) if given is not None and given > 0 else _MOST_LOG
        )
    return found


def score(trace: Trace, answers: Sequence[Answer]) -> Score:
    """How the answers given for a run compare with how it went. Raises ValueError for one that is none."""
    relative: list[float] = []
    ratios: list[float] = []
    held: list[bool] = []
    widths: list[float] = []
    finishes: list[float] = []
    within = 0
    for moment, answer in zip(trace.instants(), answers, strict=True):
        left = trace.seconds - moment
        given = answer.seconds
        if given is None:
            relative.append(1.0)
            ratios.append(_MOST_RATIO)
            continue
        if not isfinite(given) or given < 0:
            raise ValueError(f"{given!r} seconds left is no answer ({trace.kind} {trace.number})")
        relative.append(min(_MOST_RELATIVE, abs(given - left) / left))
        within += relative[-1] <= 0.2
        ratios.append(min(_MOST_RATIO, max(given / left, left / given if given > 0 else inf)))
        finishes.append(moment + given)
        if answer.low is not None and answer.high is not None:
            held.append(answer.low <= left <= answer.high)
            if answer.low > 0:
                widths.append(log2(answer.high / answer.low))
    moved = sum(abs(b - a) for a, b in pairwise(finishes))
    return Score(
        mare=fmean(relative),
        log2=fmean(errors(trace, answers)),
        in20=within / len(relative),
        p90=sorted(ratios)[int(0.9 * len(ratios))],
        jitter=moved / trace.seconds,
        coverage=fmean(held) if held else None,
        width=2.0 ** fmean(widths) if widths else None,
    )


def average(scores: Iterable[Score]) -> Score:
    """The plain mean of each figure, over those that have it."""
    found = list(scores)

    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return fmean(known) if known else None

    return Score(
        mare=fmean(each.mare for each in found),
        log2=fmean(each.log2 for each in found),
        in20=fmean(each.in20 for each in found),
        p90=fmean(each.p90 for each in found),
        jitter=fmean(each.jitter for each in found),
        coverage=mean(each.coverage for each in found),
        width=mean(each.width for each in found),
    )
