"""The harness gives every side its fair turn, and one form of report."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from benchmarks.harness import (
    Report,
    format_number,
    interleave,
    interleave_async,
    machine,
    medians,
    options,
    percentile,
    spread,
)


def _side(name: str, calls: list[str]) -> Callable[[], float]:
    def measure() -> float:
        calls.append(name)
        return float(len(calls))

    return measure


def test_sides_take_turns_and_each_round_starts_one_later() -> None:
    calls: list[str] = []
    results = interleave({name: _side(name, calls) for name in "abc"}, 4)
    assert calls == ["a", "b", "c", "b", "c", "a", "c", "a", "b", "a", "b", "c"]
    assert results["a"] == [1.0, 6.0, 8.0, 10.0]


@pytest.mark.anyio
async def test_awaited_sides_take_the_same_turns() -> None:
    calls: list[str] = []

    async def ours() -> float:
        calls.append("ours")
        return 2.0

    async def theirs() -> float:
        calls.append("theirs")
        return 4.0

    results = await interleave_async({"ours": ours, "theirs": theirs}, 3)
    assert calls == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert medians(results) == {"ours": 2.0, "theirs": 4.0}


def test_no_sides_give_no_results() -> None:
    assert interleave({}, 3) == {}


def test_the_median_is_reported_and_the_spread_is_largest_over_smallest() -> None:
    assert medians({"a": [9.0, 1.0, 2.0]}) == {"a": 2.0}
    assert spread([2.0, 3.0]) == 1.5
    assert spread([0.0, 3.0]) == float("inf")


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(each) for each in range(1, 101)]
    assert [percentile(values, each) for each in (0, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 99) == 7.0


def test_the_machine_is_described_with_versions_and_pragmas() -> None:
    described = machine(pragmas={"synchronous": "FULL"}, disk="local")
    assert {"cpu", "cores", "memory_gb", "python", "sqlite", "versions"} <= described.keys()
    assert described["versions"]["msgspec"]
    assert described["pragmas"] == {"synchronous": "FULL"}
    assert described["disk"] == "local"


def test_the_json_report_is_one_object_of_the_agreed_shape() -> None:
    report = Report("How fast?", machine={"cpu": "x"})
    report.row("append", 1234.5, "events/s")
    report.at_least("against raw", 0.5, 0.4)
    report.at_most("start against refold", 0.5, 0.3)
    out = io.StringIO()
    report.emit(as_json=True, out=out)
    assert json.loads(out.getvalue()) == {
        "machine": {"cpu": "x"},
        "rows": [{"name": "append", "value": 1234.5, "unit": "events/s"}],
        "bars": [
            {"name": "against raw", "ratio": 0.5, "bar": 0.4, "ok": True},
            {"name": "start against refold", "ratio": 0.5, "bar": 0.3, "ok": False},
        ],
    }
    assert not report.ok


def test_the_table_names_the_machine_and_says_which_bar_is_missed() -> None:
    report = Report("How fast?", machine={"cpu": "x", "versions": {"msgspec": "1"}})
    report.row("append", 1234567, "events/s")
    report.at_least("against raw", 0.3, 0.4)
    table = report.as_table()
    assert "cpu x" in table
    assert "versions: msgspec 1" in table
    assert "1,234,567 events/s" in table
    assert "at least 0.400: MISSED" in table


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567, "1,234,567"), (12.34, "12.3"), (0.00412, "0.00412"), (-1.5, "-1.50")],
)
def test_a_number_shows_the_digits_that_matter(value: float, text: str) -> None:
    assert format_number(value) == text


def test_the_common_options_are_json_and_repeat() -> None:
    parser = options("How fast?", repeat=3)
    parser.add_argument("--events", type=int, default=10)
    assert vars(parser.parse_args(["--json"])) == {"json": True, "repeat": 3, "events": 10}


def test_fewer_than_one_round_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("How fast?").parse_args(["--repeat", "0"])
    assert "not a positive number" in capsys.readouterr().err
