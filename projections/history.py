"""What is kept of finished runs, and what it says to the next run of the same kind.

All of it is folded from the log: a run that completed leaves one :class:`RunSummary` of bounded size, its
kind keeps the newest of them, and a run that begins takes the :class:`Prior` made of those that ended
before its first position. No second pass over events, no clock.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import exp, isfinite, log

from msgspec import Struct

from .curve import CELLS, DECILES, Course, Said, StageCourse, along, even_cells

__all__ = (
    "AUDITED",
    "KEPT",
    "USED",
    "Accuracy",
    "KindHistory",
    "Prior",
    "PriorStage",
    "RunSummary",
    "summarize",
)

KEPT = 20
"""Completed runs kept per kind: those its published accuracy speaks of."""

USED = 10
"""Completed runs an ETA rests on, the newest."""

AUDITED = (0.1, 0.25, 0.5, 0.75)
"""Shares of a run at which its predictions count for the published accuracy."""

_NOTHING = [0.0] * CELLS


class RunSummary(Struct, array_like=True):
    """A completed run in a few hundred numbers. `seconds` is work alone: pauses and cut silences are out.

    `position` is that of its end. `gaps` are as in :class:`Course`, all there.
    """

    run_id: str
    position: int
    finished_at: str
    seconds: float
    unit: str | None
    stages: list[StageCourse]
    gaps: list[float]
    said: list[Said]


class PriorStage(Struct, array_like=True):
    """A stage of a typical run: its size (0: never known), and seconds into it at each point of the grid."""

    name: str
    total: int
    curve: list[float]

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.curve[-1]

    def spent(self, share: float) -> float:
        """Seconds into the stage when `share` of it is done."""
        return along(self.curve, share)


class Prior(Struct, array_like=True):
    """What earlier runs of a kind lead one to expect of the next, at the size of the newest of them.

    `seconds` is the duration of a typical run, of `runs` that stand behind it. `errors` are absolute
    logarithms of truth over prediction where history had predicted, in rising order. `gaps` are the longest
    silences.
    """

    runs: int
    seconds: float
    stages: list[PriorStage]
    errors: list[float]
    gaps: list[float]

    def weights(self, names: Sequence[str]) -> list[float] | None:
        """Shares of time of the stages `names`, adding up to 1; None when history knows none of them.

        A stage that history does not know counts like the mean of those it knows.
        """
        known = {stage.name: stage.seconds for stage in self.stages}
        found = [known[name] for name in names if name in known]
        if sum(found) <= 0.0:
            return None
        usual = sum(found) / len(found)
        raw = [known.get(name, usual) for name in names]
        whole = sum(raw)
        return [weight / whole for weight in raw]


class Accuracy(Struct):
    """How good the predictions for a kind were: of `predictions` in `runs` runs the share `within` 20 % of
    the truth.

    `error` is the mean relative error, each counted as 5 at most. None while there was no prediction.
    """

    runs: int
    predictions: int
    within: float | None
    error: float | None


class KindHistory(Struct, array_like=True):
    """All that is kept of one kind: how many runs ended how, and the newest that completed.

    `position` is that of the last end folded; an end at or before it is folded already.
    """

    kind: str
    position: int = 0
    outcomes: dict[str, int] = {}
    last: list[RunSummary] = []

    def ended(self, outcome: str, position: int, summary: RunSummary | None) -> None:
        """A run ended at `position`; only one that completed has a summary. Twice is once."""
        if position <= self.position:
            return
        self.position = position
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if summary is not None:
            self.last.append(summary)
            del self.last[:-KEPT]

    def prior(self, before: int | None = None) -> Prior | None:
        """What a run with its first event at `before` (None: now) may expect; None without a run that took
        time.
        """
        ended = [run for run in self.last if run.seconds > 0.0 and (before is None or run.position < before)]
        return _prior(ended[-USED:])

    def accuracy(self) -> Accuracy:
        """How good what was said at 10, 25, 50 and 75 % of the kept runs has been."""
        errors = [
            abs(said.seconds - left) / left
            for run in self.last
            for said in run.said
            if said.share in AUDITED and (left := run.seconds - said.at) > 0.0
        ]
        n = len(errors)
        if not n:
            return Accuracy(len(self.last), 0, None, None)
        within = sum(1 for error in errors if error <= 0.2) / n
        return Accuracy(len(self.last), n, within, sum(min(5.0, error) for error in errors) / n)


def summarize(
    course: Course, *, run_id: str, position: int, finished_at: str, unit: str | None
) -> RunSummary:
    """The summary of a run that completed; its course is closed."""
    seconds = sum(stage.seconds for stage in course.past)
    gaps = course.gaps or [0.0] * DECILES
    return RunSummary(run_id, position, finished_at, seconds, unit, course.past, gaps, course.said)


def _prior(runs: Sequence[RunSummary]) -> Prior | None:
    if not runs:
        return None
    newest = runs[-1]
    names = [stage.name for stage in newest.stages]
    sizes = [stage.total for stage in newest.stages]
    durations: list[float] = []
    shapes: list[Sequence[float]] = []
    for run in runs:
        if [stage.name for stage in run.stages] == names:
            stages: Sequence[StageCourse | None] = run.stages
        else:
            by_name = {stage.name: stage for stage in run.stages}
            stages = [by_name.get(name) for name in names]
        path: list[float] = []
        ratios: list[float] = []
        for stage, size in zip(stages, sizes, strict=True):
            if stage is None:
                path += _NOTHING
                continue
            path += stage.cells or even_cells(stage.seconds)
            if size and stage.total:
                ratios.append(log(size / stage.total))
        whole = sum(path)
        if whole > 0.0:
            durations.append(log(whole) + (_middle(ratios) if ratios else 0.0))
            shapes.append([at / whole for at in accumulate(path)])
    if not shapes:
        return None
    seconds = exp(min(700.0, _middle(durations)))
    course = _middles(shapes)
    found: list[PriorStage] = []
    before = 0.0
    for k, (name, size) in enumerate(zip(names, sizes, strict=True)):
        part = course[k * CELLS : (k + 1) * CELLS]
        found.append(PriorStage(name, size, [seconds * (at - before) for at in part]))
        before = part[-1]
    errors = sorted(error for run in runs for error in _errors(run))
    gaps = [max(column) for column in zip(*(run.gaps for run in runs), strict=True)]
    return Prior(len(shapes), seconds, found, errors, gaps)


def _errors(run: RunSummary) -> list[float]:
    errors = [
        abs(log((run.seconds - said.at) / said.seconds))
        for said in run.said
        if said.runs and said.seconds > 0.0 and run.seconds > said.at
    ]
    return [error for error in errors if isfinite(error)]


def _middles(rows: Sequence[Sequence[float]]) -> list[float]:
    """The median of each column, of rising rows a rising row."""
    n = len(rows)
    if n == 1:
        return list(rows[0])
    ordered = map(sorted, zip(*rows, strict=True))
    if n % 2:
        return [column[n // 2] for column in ordered]
    return [(column[n // 2 - 1] + column[n // 2]) / 2.0 for column in ordered]


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    n = len(ordered)
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2.0
