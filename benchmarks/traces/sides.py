"""Everyone who is asked how long a run will still take.

Each side answers at a trace's instants with the number it would be showing: made at the last tick before,
standing until the next. tqdm and rich are the real packages, driven by a clock that shows the trace's time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress
from tqdm import tqdm

from progress_ledger.projections import RunState, apply, view
from progress_ledger.projections.histories import Histories

from .trace import EPOCH, Trace, events

__all__ = ("OTHERS", "Answer", "Ours", "last_runs", "plain_mean", "rich_bar", "tqdm_bar", "window")

_WHOLE = 1_000_000_000  # what a bar of a run with stages counts to


class Answer(NamedTuple):
    """Seconds left as shown, None when nothing is; with a band where there is one."""

    seconds: float | None
    low: float | None = None
    high: float | None = None


Side = Callable[[Trace], list[Answer]]


class Ours:
    """The ledger's own fold: events in, snapshots out. Runs are given in order; history is all that it has
    seen.

    `scale` stretches the time of every trace; answers are given back in the trace's own time.
    """

    def __init__(self, *, history: bool, scale: float = 1.0) -> None:
        self._histories = Histories() if history else None
        self._scale = scale
        self._position = 0

    def __call__(self, trace: Trace) -> list[Answer]:
        state: RunState | None = None
        answers: list[Answer] = []
        instants = trace.instants()
        shown = EPOCH
        last = self._position
        for moment, event in events(trace, first=self._position, scale=self._scale):
            while len(answers) < len(instants) and instants[len(answers)] < moment:
                answers.append(self._ask(state, shown))
            prior = None
            if state is None and self._histories is not None:
                prior = self._histories.prior(event)
            state = apply(state, event, prior)
            shown = EPOCH + self._position * 10.0 + moment * self._scale
            last = event.position
        assert state is not None
        if self._histories is not None:
            self._histories.ended(state)
        self._position = last
        return answers

    def _ask(self, state: RunState | None, now: float) -> Answer:
        if state is None:
            return Answer(None)
        seen = view(state, now)
        return Answer(
            *(_scaled(value, self._scale) for value in (seen.eta_seconds, seen.eta_low, seen.eta_high))
        )


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value / scale


def plain_mean(trace: Trace) -> list[Answer]:
    """Done over elapsed, for all of the run."""
    answers: list[Answer] = []
    for moment in trace.instants():
        k = trace.at(moment)
        share, spent = trace.share[k], trace.times[k]
        answers.append(Answer(spent * (1 - share) / share if share and spent > 0 else None))
    return answers


def window(trace: Trace, samples: int = 5) -> list[Answer]:
    """The pace over the last few ticks."""
    answers: list[Answer] = []
    for moment in trace.instants():
        k = trace.at(moment)
        first = max(0, k - samples + 1)
        share, before = trace.share[k], trace.share[first]
        spent = trace.times[k] - trace.times[first]
        gained = share - before if share is not None and before is not None else 0.0
        answers.append(Answer((1 - (share or 0.0)) * spent / gained if gained > 0 and spent > 0 else None))
    return answers


class _Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
    """A bar that remembers the remaining time it last showed."""

    monitor_interval = 0
    shown: float | None = None

    def display(self, *_: Any, **__: Any) -> None:
        seen = self.format_dict
        rate, elapsed = seen["rate"], seen["elapsed"]
        if rate is None and elapsed:  # what format_meter does before there is an average
            rate = (seen["n"] - seen["initial"]) / elapsed
        self.shown = (seen["total"] - seen["n"]) / rate if rate and seen["total"] else None


def tqdm_bar(trace: Trace) -> list[Answer]:
    """tqdm with its defaults."""
    clock = [0.0]
    bar = _Bar(total=_counts(trace, 0)[1], file=io.StringIO())
    setattr(bar, "_time", lambda: clock[0])  # noqa: B010  # the one way to show it another clock
    bar.start_t = bar.last_print_t = 0.0
    answers: list[Answer] = []
    at = 0
    for moment in trace.instants():
        while at < len(trace.times) and trace.times[at] <= moment:
            clock[0] = trace.times[at]
            done, bar.total = _counts(trace, at)
            bar.update(done - bar.n)
            at += 1
        answers.append(Answer(bar.shown))
    bar.disable = True
    return answers


def rich_bar(trace: Trace) -> list[Answer]:
    """rich with its defaults."""
    clock = [0.0]
    progress = Progress(get_time=lambda: clock[0], auto_refresh=False, console=Console(file=io.StringIO()))
    bar = progress.add_task("", total=_counts(trace, 0)[1])
    answers: list[Answer] = []
    at = 0
    for moment in trace.instants():
        while at < len(trace.times) and trace.times[at] <= moment:
            clock[0] = trace.times[at]
            done, total = _counts(trace, at)
            progress.update(bar, completed=done, total=total)
            at += 1
        task = progress.tasks[0]
        speed, left = task.speed, task.remaining
        answers.append(Answer(left / speed if speed and left is not None else None))
    return answers


def last_runs(trace: Trace, earlier: Sequence[Trace], runs: int = 3) -> list[Answer]:
    """The mean duration of the last runs of the kind, less the time gone by."""
    if not earlier:
        return [Answer(None)] * len(trace.instants())
    usual = sum(run.seconds for run in earlier[-runs:]) / len(earlier[-runs:])
    return [Answer(max(0.0, usual - trace.times[trace.at(moment)])) for moment in trace.instants()]


def _counts(trace: Trace, at: int) -> tuple[int, int | None]:
    """What a bar is told: the counts of a plain run, of one with stages the part of the whole."""
    if len(trace.stages) == 1:
        return trace.done[at], trace.total[at]
    return int((trace.share[at] or 0.0) * _WHOLE), _WHOLE


OTHERS: dict[str, Side] = {"tqdm": tqdm_bar, "rich": rich_bar, "mean": plain_mean, "window5": window}
"""The sides that know this run only."""
