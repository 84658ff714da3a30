"""How good are our ETAs? `python -m benchmarks.eta [--traces DIR] [--json] [--page]`

Replays recorded runs through the real fold and asks everyone for the time left at 200 instants of each run,
in two settings: `none`, where nothing but the run itself is known, and `history`, where the earlier runs of
the same kind are, and the runs that have any are scored. All figures are means over the runs of a kind,
then over kinds.

What it does not show: runs longer than the recorded ones, and kinds whose runs have nothing in common.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from .harness import Report, options
from .traces.page import write_page
from .traces.score import Score, average, errors, score
from .traces.sides import OTHERS, Answer, Ours, last_runs
from .traces.trace import Trace, by_kind, load

__all__ = ("SETTINGS", "Results", "bars", "main", "measure")

HERE = Path(__file__).parent
SETTINGS = ("history", "none")
RIVALS = tuple(OTHERS)
SLOWER = 60.0
"""Every trace is also replayed this much slower: our figures must stay the same."""

Kinds = dict[str, dict[str, list[Score]]]


@dataclass(slots=True)
class Results:
    """Scores of every run by setting, kind and side, and the errors over the life of the runs."""

    kinds: dict[str, Kinds] = field(default_factory=lambda: {setting: {} for setting in SETTINGS})
    curves: dict[str, dict[str, list[list[float]]]] = field(
        default_factory=lambda: {setting: {} for setting in SETTINGS}
    )
    slower: dict[str, list[float]] = field(default_factory=lambda: {setting: [] for setting in SETTINGS})

    def add(self, setting: str, trace: Trace, side: str, answers: list[Answer]) -> Score:
        """Enter what one side said of one run."""
        scored = score(trace, answers)
        self.kinds[setting].setdefault(trace.kind, {}).setdefault(side, []).append(scored)
        self.curves[setting].setdefault(side, []).append(errors(trace, answers))
        return scored

    def kind(self, setting: str, kind: str) -> dict[str, Score]:
        """Each side's mean over the runs of a kind."""
        return {side: average(scores) for side, scores in self.kinds[setting][kind].items()}

    def overall(self, setting: str) -> dict[str, Score]:
        """Each side's mean over kinds."""
        kinds = [self.kind(setting, kind) for kind in self.kinds[setting]]
        return {side: average(kind[side] for kind in kinds) for side in kinds[0]} if kinds else {}


def measure(traces: list[Trace]) -> Results:
    """Ask every side about every run, kind by kind in the order the runs were made."""
    results = Results()
    for runs in by_kind(traces).values():
        ours = {setting: Ours(history=setting == "history") for setting in SETTINGS}
        slow = {setting: Ours(history=setting == "history", scale=SLOWER) for setting in SETTINGS}
        for number, trace in enumerate(runs):
            others = {name: side(trace) for name, side in OTHERS.items()}
            others["last3"] = last_runs(trace, runs[:number])
            for setting in SETTINGS:
                answers, slower = ours[setting](trace), slow[setting](trace)
                if setting == "history" and not number:
                    continue
                mine = results.add(setting, trace, "ours", answers)
                results.slower[setting].append(abs(score(trace, slower).mare - mine.mare))
                for name, said in others.items():
                    if name != "last3" or setting == "history":
                        results.add(setting, trace, name, said)
    return results


def bars(results: Results, report: Report) -> None:
    """What must be reached, against the best of those who know this run only."""
    for setting in SETTINGS:
        scores = results.overall(setting)
        if not scores:
            continue
        ours = scores["ours"]

        def best(figure: Callable[[Score], float], scores: dict[str, Score] = scores) -> list[float]:
            return [figure(scores[name]) for name in RIVALS]

        most = 0.5 if setting == "history" else 1.0
        report.at_most(
            f"{setting}: error (MARE), ours / best other", ours.mare / min(best(lambda s: s.mare)), most
        )
        report.at_most(f"{setting}: |log2|, ours / best other", ours.log2 / min(best(lambda s: s.log2)), most)
        if setting == "history":
            top = max(best(lambda s: s.in20))
            report.at_least("history: within 20 %, ours / best other", ours.in20 / top if top else 99.0, 1.8)
            if ours.coverage is not None:
                report.at_least("history: coverage of the band", ours.coverage, 0.75)
                report.at_most("history: coverage of the band (not idle)", ours.coverage, 0.95)
        report.at_most(
            f"{setting}: change of MARE when {SLOWER:.0f} × slower", fmean(results.slower[setting]), 0.005
        )


def as_json(results: Results, report: Report) -> dict[str, Any]:
    """The usual object, with the scores of each side in each setting, over kinds and per kind."""

    def told(scores: dict[str, Score]) -> dict[str, Any]:
        return {side: each.as_json() for side, each in scores.items()}

    return report.as_json() | {
        "settings": {setting: told(results.overall(setting)) for setting in SETTINGS},
        "kinds": {
            kind: {
                setting: told(results.kind(setting, kind))
                for setting in SETTINGS
                if kind in results.kinds[setting]
            }
            for kind in results.kinds["none"]
        },
    }


def main() -> int:
    """Measure and print; with `--page` also write the page's tables and its picture."""
    parser = options("How good are our ETAs?", repeat=1)
    parser.add_argument(
        "--traces", type=Path, default=HERE / "traces", help="folder of KIND_rN.jsonl.gz files"
    )
    parser.add_argument(
        "--page", action="store_true", help="write the tables and the picture of the ETA page"
    )
    given = parser.parse_args()
    traces = load(given.traces)
    if not traces:
        parser.error(f"there is no trace KIND_rN.jsonl.gz in {given.traces}")
    results = measure(traces)
    report = Report("How good are our ETAs?")
    for setting in SETTINGS:
        for side, each in results.overall(setting).items():
            for figure, value in each.as_json().items():
                if value is not None:
                    report.row(f"{setting}: {side} {figure}", value, "")
    bars(results, report)
    if given.page:
        write_page(
            {setting: results.overall(setting) for setting in SETTINGS},
            {kind: results.kind("history", kind) for kind in results.kinds["history"]},
            results.curves,
            runs=len(traces),
        )
    if given.json:
        print(json.dumps(as_json(results, report), ensure_ascii=False))
    else:
        report.emit(as_json=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
