"""The course of one run: how much active time had passed at each share of each stage's work.

A course has a bounded size whatever the number of ticks, is kept in units of work (so that a total that is
unknown at first, or changes, spoils nothing), and costs a tick one comparison: the fold asks `done >=
course.next` and calls :meth:`Course.mark` only when that is so, some twenty times a stage.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil, isfinite

from msgspec import Struct

__all__ = (
    "CELLS",
    "DECILES",
    "GRID",
    "NEVER",
    "SAID_AT",
    "Course",
    "Said",
    "StageCourse",
    "along",
    "even_cells",
)

GRID: tuple[float, ...] = (
    *(1 / 256, 1 / 64, 1 / 32),
    *sorted((*(i / 10 for i in range(1, 10)), 0.25, 0.75)),
    *(1 - 1 / 32, 1 - 1 / 64, 1 - 1 / 256, 1.0),
)
"""Shares of a stage's work at which its time is remembered, finer at both ends, where jobs warm up and tidy
up.
"""

CELLS = len(GRID)

SAID_AT = (0.1, 0.25, 0.5, 0.75)
"""Shares of a run at which what was predicted is kept."""

DECILES = 10
"""Parts of a run for which the longest silence is kept."""

NEVER = 2**63
"""A threshold that no `done` reaches."""

_STARTS = (0.0, *GRID)
_GROWTH = 1.2  # without a total: a point whenever a fifth more is done
_MAX_POINTS = 3 * CELLS
_MAX_CURVES = 16  # stages with a curve; later ones are remembered by their duration alone
_MAX_STAGES = 256


class Said(Struct, array_like=True):
    """A prediction made at `share` of the run and `at` active seconds: `seconds` left, within `low` and
    `high`.

    `runs` is the number of past runs it rested on, 0 for none.
    """

    share: float
    at: float
    seconds: float
    low: float | None
    high: float | None
    runs: int


class StageCourse(Struct, array_like=True):
    """A stage that is over: its size (0: never known), duration, and active seconds in each cell of `GRID`.

    `begun` is the run's active time at its begin. No `cells` means an even pace.
    """

    name: str
    total: int
    seconds: float
    begun: float
    cells: list[float]


class Course(Struct, array_like=True):
    """The stages that are over, and points (done, active seconds) of the current one.

    All times are seconds of work since the run's start, pauses and cut silences left out; they never
    decrease. `next` is the `done` at which :meth:`mark` wants to be called. `cut` is the sum of silences
    left out, `gaps` the longest silence met in each tenth of the run (empty: none worth noting), `said`
    what was predicted.
    """

    past: list[StageCourse] = []
    stage: str = ""
    begun: float = 0.0
    total: int = 0
    done: list[int] = []
    at: list[float] = []
    next: int = 1
    cut: float = 0.0
    gaps: list[float] = []
    said: list[Said] = []

    def mark(self, done: int, total: int | None, active: float) -> None:
        """Remember that `done` was reached at `active`, and set the next one worth remembering."""
        reached, at = self.done, self.at
        if not reached or done > reached[-1]:
            floor = at[-1] if at else self.begun
            reached.append(done)
            at.append(max(floor, active))  # also for what is no number
            if len(reached) > _MAX_POINTS:  # a total that runs away before us keeps every share small
                del reached[:-2:2], at[:-2:2]
        size = total or 0
        if size != self.total:
            self.total = size
        self.next = _threshold(done, size)

    def retotal(self, done: int, total: int | None) -> None:
        """The total is another one now; the points stay, as they are in units of work."""
        self.total = total or 0
        self.next = _threshold(done, self.total)

    def rewind(self, done: int) -> None:
        """Work was undone: points above `done` are forgotten, their time counts for doing it again."""
        keep = bisect_right(self.done, done)
        del self.done[keep:], self.at[keep:]
        self.next = _threshold(done, self.total)

    def enter(self, stage: str, done: int, total: int | None, active: float) -> None:
        """`stage` begins; `done` is what the one before had reached. Entered again, it adds to its first
        visit.
        """
        self.close(done, active)
        self.stage = stage
        self.begun = max(active, self.begun)
        self.done = []
        self.at = []
        self.retotal(0, total)

    def close(self, done: int, active: float) -> None:
        """The current stage, or the run, is over at `active`: its points become cells."""
        floor = self.at[-1] if self.at else self.begun
        end = max(active, floor) if isfinite(active) else floor
        if not self.stage and not done and end <= self.begun:
            return  # a run whose first stage came at once had no unnamed beginning
        seconds = end - self.begun
        size = max(self.total, done)
        cells = _cells(self.done, self.at, self.begun, done, size, end)
        for past in self.past:
            if past.name == self.stage:
                past.seconds += seconds
                past.total = max(past.total, size)
                past.cells = [a + b for a, b in zip(past.cells, cells, strict=True)] if past.cells else []
                return
        if len(self.past) < _MAX_STAGES:
            curves = sum(1 for past in self.past if past.cells)
            kept = cells if curves < _MAX_CURVES else []
            self.past.append(StageCourse(self.stage, size, seconds, self.begun, kept))

    def reached(self, want: float, active: float) -> float:
        """Active seconds when `want` of the current stage was done; `active` is the present."""
        points, at = self.done, self.at
        k = bisect_left(points, want)
        d0, t0 = (points[k - 1], at[k - 1]) if k else (0, self.begun)
        if k == len(points):
            return min(t0, active)
        d1 = points[k]
        return t0 + (at[k] - t0) * (want - d0) / (d1 - d0) if d1 > d0 else t0

    def silence(self, share: float | None, seconds: float) -> None:
        """A silence of `seconds` ended where `share` of the run was done."""
        if not self.gaps:
            self.gaps = [0.0] * DECILES
        tenth = min(DECILES - 1, int((share or 0.0) * DECILES))
        self.gaps[tenth] = max(self.gaps[tenth], seconds)

    def due(self, share: float) -> float | None:
        """The newest of `SAID_AT` that `share` has reached and for which nothing is kept yet."""
        reached = bisect_right(SAID_AT, share)
        if not reached or (self.said and self.said[-1].share >= SAID_AT[reached - 1]):
            return None
        return SAID_AT[reached - 1]


def even_cells(seconds: float) -> list[float]:
    """Cells of a stage that went at an even pace."""
    return [seconds * (end - start) for start, end in zip(_STARTS, GRID, strict=False)]


def along(curve: Sequence[float], share: float) -> float:
    """The value at `share` of a curve that starts at 0 and is given at each point of `GRID`."""
    cell = min(bisect_left(GRID, share), CELLS - 1)
    start = curve[cell - 1] if cell else 0.0
    inside = (share - _STARTS[cell]) / (GRID[cell] - _STARTS[cell])
    return start + min(1.0, max(0.0, inside)) * (curve[cell] - start)


def _threshold(done: int, total: int) -> int:
    if total <= 0:
        return max(done + 1, int(done * _GROWTH))
    if done >= total:
        return NEVER
    wanted = ceil(GRID[min(bisect_right(GRID, done / total), CELLS - 1)] * total)
    return wanted if wanted > done else done + 1


def _cells(
    done: Sequence[int], at: Sequence[float], begun: float, last: int, size: int, end: float
) -> list[float]:
    """Seconds in each cell, the points joined by straight lines; they add up to the stage's duration."""
    if size <= 0 or not done:
        return even_cells(end - begun)
    shares = [0.0, *(d / size for d in done)]
    times = [begun, *at]
    if last > done[-1]:
        shares.append(last / size)
        times.append(end)
    cells: list[float] = []
    k = 0
    before = begun
    for share in GRID:
        while k < len(shares) and shares[k] < share:
            k += 1
        if share >= 1.0:
            now = end
        elif k == len(shares):
            now = times[-1]
        else:  # k > 0, as the first share is 0
            now = times[k - 1] + (times[k] - times[k - 1]) * (share - shares[k - 1]) / (
                shares[k] - shares[k - 1]
            )
        cells.append(max(0.0, now - before))
        before = max(before, now)
    return cells
