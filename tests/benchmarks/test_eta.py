"""The ETA benchmark measures what it says it measures."""

from __future__ import annotations

import gzip
import json
from math import log2
from pathlib import Path

import pytest

from benchmarks import eta
from benchmarks.harness import Report
from benchmarks.traces import page
from benchmarks.traces.record import JOBS, Tick, thin
from benchmarks.traces.score import average, score
from benchmarks.traces.sides import OTHERS, Answer, Ours, last_runs, plain_mean, rich_bar, tqdm_bar, window
from benchmarks.traces.trace import POINTS, Trace, by_kind, events, load, loads

TRACES = Path(eta.__file__).parent / "traces"


def _even(kind: str = "even", number: int = 1, *, total: int = 100, step: float = 0.2) -> Trace:
    lines = [{"t": n * step, "done": n, "total": total, "stage": "main"} for n in range(total + 1)]
    return loads("\n".join(map(json.dumps, lines)), kind, number)


def _staged() -> Trace:
    lines = [
        {"t": 0.0, "done": 0, "total": 10, "stage": "a"},
        {"t": 5.0, "done": 10, "total": 10, "stage": "a"},
        {"t": 5.0, "done": 0, "total": 4, "stage": "b"},
        {"t": 9.0, "done": 4, "total": 4, "stage": "b"},
    ]
    return loads("\n".join(map(json.dumps, lines)), "staged", 1)


def test_the_traces_carried_are_eight_kinds_of_three_runs_at_least() -> None:
    kinds = by_kind(load(TRACES))
    assert len(kinds) >= 8
    assert all(len(runs) >= 3 for runs in kinds.values())
    assert all(len(run.times) <= 2_100 for runs in kinds.values() for run in runs)


def test_recorded_kinds_are_those_the_script_can_record() -> None:
    assert set(by_kind(load(TRACES))) == set(JOBS)


def test_thinning_keeps_both_ends_of_every_stage() -> None:
    ticks = [Tick(n / 10, n % 500, 500, "a" if n < 500 else "b") for n in range(1000)]
    kept = thin(ticks, keep=50)
    assert len(kept) < 60
    assert {0, 499, 500, 999} <= {round(tick.t * 10) for tick in kept}


def test_instants_lie_evenly_between_one_and_ninety_nine_percent() -> None:
    instants = _even().instants()
    assert len(instants) == POINTS
    assert instants[0] == pytest.approx(0.2)
    assert instants[-1] == pytest.approx(19.8)


def test_a_staged_trace_becomes_stages_and_counts_each_alike() -> None:
    trace = _staged()
    assert trace.share == [0.0, 0.5, 0.5, 1.0]
    told = [event.type for _, event in events(trace, first=0)]
    assert told == [
        "started",
        "stage_changed",
        "ticked",
        "ticked",
        "stage_changed",
        "ticked",
        "ticked",
        "completed",
    ]


def test_everyone_is_right_about_an_even_run() -> None:
    trace = _even()
    for side in (plain_mean, window, tqdm_bar, rich_bar, Ours(history=False)):
        found = score(trace, side(trace))
        assert found.in20 > 0.8, side


def test_a_number_stands_until_the_next_tick() -> None:
    lines = [{"t": t, "done": done, "total": 4, "stage": "x"} for t, done in ((0, 0), (10, 1), (40, 4))]
    trace = loads("\n".join(map(json.dumps, lines)), "x", 1)
    shown = {answer.seconds for answer in Ours(history=False)(trace)}
    assert shown == {None, 30.0}
    assert {answer.seconds for answer in plain_mean(trace)} == {None, 30.0}


def test_history_is_earlier_runs_only() -> None:
    ours = Ours(history=True)
    first, second = _even(number=1, total=40, step=0.5), _even(number=2, total=40, step=0.5)
    assert ours(first)[0].seconds is None
    assert ours(second)[0].seconds == pytest.approx(20.0, rel=0.05)
    assert last_runs(first, [])[0].seconds is None
    assert last_runs(second, [first])[0].seconds == pytest.approx(20.0, rel=0.05)


def test_a_trace_sixty_times_slower_gets_the_same_answers() -> None:
    kinds = by_kind(load(TRACES))
    ours, slow = Ours(history=True), Ours(history=True, scale=60.0)
    for trace in kinds["compress"]:
        plain, slower = ours(trace), slow(trace)
        for one, other in zip(plain, slower, strict=True):
            assert (one.seconds is None) == (other.seconds is None)
            if one.seconds is not None and other.seconds is not None:
                assert one.seconds == pytest.approx(other.seconds, rel=0.01, abs=0.01)


def test_scores_are_what_the_words_say() -> None:
    trace = _even()
    truth = [Answer(trace.seconds - moment) for moment in trace.instants()]
    assert score(trace, truth).mare == pytest.approx(0.0)
    double = [Answer(2 * (answer.seconds or 0), 0.0, 1e9) for answer in truth]
    found = score(trace, double)
    assert found.mare == pytest.approx(1.0)
    assert found.log2 == pytest.approx(1.0)
    assert found.in20 == 0.0
    assert found.coverage == 1.0
    missing = score(trace, [Answer(None)] * POINTS)
    assert missing.mare == 1.0
    assert missing.log2 == pytest.approx(log2(10))
    assert average([found, missing]).mare == pytest.approx(1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_number_that_makes_no_sense_is_an_error_not_a_bad_score(value: float) -> None:
    with pytest.raises(ValueError, match="no answer"):
        score(_even(), [Answer(value)] * POINTS)


def test_the_object_has_a_row_for_every_side_in_both_settings() -> None:
    traces = [_even(number=1), _even(number=2, total=150), _even("other"), _even("other", 2, step=0.3)]
    results = eta.measure(traces)
    report = Report("t")
    eta.bars(results, report)
    told = eta.as_json(results, report)
    json.dumps(told, allow_nan=False)
    assert set(told["settings"]) == {"history", "none"}
    for setting in ("history", "none"):
        assert {"ours", *OTHERS} <= set(told["settings"][setting])
        assert {"mare", "log2", "in20", "p90", "coverage"} <= set(told["settings"][setting]["ours"])
    assert set(told["kinds"]) == {"even", "other"}
    assert told["kinds"]["even"]["history"]["ours"]["mare"] < 0.05
    text = page.tables(
        {setting: results.overall(setting) for setting in eta.SETTINGS},
        {kind: results.kind("history", kind) for kind in results.kinds["history"]},
        runs=len(traces),
    )
    assert "| progress-ledger |" in text
    assert page.picture(results.curves).startswith("<svg")


def test_files_that_are_no_traces_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty_r1.jsonl").write_text("")
    (tmp_path / "a_b_r12.jsonl.gz").write_bytes(
        gzip.compress(b'{"t":0,"done":0,"total":null}\n{"t":2,"done":5}\n')
    )
    (trace,) = load(tmp_path)
    assert (trace.kind, trace.number, trace.seconds) == ("a_b", 12, 2.0)
    assert score(trace, Ours(history=False)(trace)).mare == 1.0
