"""What the benchmarks share: options, the description of the machine, fair turns, and one form of report.

A benchmark compares sides in one run, because a figure of yesterday or of another machine compares nothing.
The sides take turns, and each round begins with another side, so that a machine that grows warm or busy slows
all of them alike. What is reported is the median.

What these numbers do not show: other machines, other disks, a cold page cache, or how far single rounds lie
apart (:func:`spread` says that last one).
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import sqlite3
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

__all__ = (
    "LIBRARIES",
    "AsyncSide",
    "Bar",
    "Report",
    "Row",
    "Side",
    "format_number",
    "interleave",
    "interleave_async",
    "machine",
    "medians",
    "options",
    "percentile",
    "spread",
)

Side = Callable[[], float]
AsyncSide = Callable[[], Awaitable[float]]

# Named in every report where they are installed: the speed is theirs as much as ours.
LIBRARIES = (
    "progress-ledger",
    "aiosqlite",
    "anyio",
    "httptools",
    "httpx",
    "msgspec",
    "starlette",
    "uvicorn",
    "uvloop",
    "eventsourcing",
    "sse-starlette",
    "tqdm",
    "nats-py",
)

# Looked at before a benchmark binds itself to one of them.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def options(question: str, *, repeat: int = 5) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes; the benchmark adds its sizes."""
    parser = argparse.ArgumentParser(
        description=question, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--repeat", type=_positive, default=repeat, help="rounds; medians are reported")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def interleave(sides: Mapping[str, Side], repeat: int) -> dict[str, list[float]]:
    """Every side `repeat` times, in turns; each round starts one side later than the round before.

    A side measures itself and returns its figure (seconds, a rate, bytes): what it prepares and tidies up
    is not counted unless it counts it. The cyclic garbage of one side is collected before the next begins.
    """
    results: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeat):
        for name in _order(list(sides), turn):
            gc.collect()
            results[name].append(sides[name]())
    return results


async def interleave_async(sides: Mapping[str, AsyncSide], repeat: int) -> dict[str, list[float]]:
    """As :func:`interleave`, for sides that are awaited; never two at a time."""
    results: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeat):
        for name in _order(list(sides), turn):
            gc.collect()
            results[name].append(await sides[name]())
    return results


def _order(names: Sequence[str], turn: int) -> list[str]:
    start = turn % len(names) if names else 0
    return [*names[start:], *names[:start]]


def medians(results: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in results.items()}


def spread(values: Sequence[float]) -> float:
    """Largest over smallest: 1.0 is perfectly steady, and above 1.5 a ratio should not be trusted."""
    return max(values) / min(values) if min(values) > 0 else float("inf")


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed. Never interpolated."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank) - 1, 0)]


def machine(*, pragmas: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Where the figures were made. `pragmas` as the benchmark's database answers them, `more` as it likes."""
    versions: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    described: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": _CORES,
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "versions": versions,
    }
    if pragmas is not None:
        described["pragmas"] = dict(pragmas)
    return described | more


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure that must be reached: `ratio` at least, or at most, `bar`."""

    name: str
    ratio: float
    bar: float
    sense: Literal["at least", "at most"] = "at least"

    @property
    def ok(self) -> bool:
        return self.ratio >= self.bar if self.sense == "at least" else self.ratio <= self.bar


@dataclass(slots=True)
class Report:
    """The rows and bars of one benchmark, printed as a table for people or as one JSON object."""

    title: str
    machine: dict[str, Any] = field(default_factory=machine)
    rows: list[Row] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every bar is reached; true without bars."""
        return all(bar.ok for bar in self.bars)

    def row(self, name: str, value: float, unit: str) -> None:
        self.rows.append(Row(name, value, unit))

    def at_least(self, name: str, ratio: float, bar: float) -> None:
        self.bars.append(Bar(name, ratio, bar))

    def at_most(self, name: str, ratio: float, bar: float) -> None:
        self.bars.append(Bar(name, ratio, bar, "at most"))

    def as_json(self) -> dict[str, Any]:
        """The one object that ``--json`` prints: `machine`, `rows` and `bars`, alike in every benchmark."""
        return {
            "machine": self.machine,
            "rows": [{"name": row.name, "value": row.value, "unit": row.unit} for row in self.rows],
            "bars": [
                {"name": bar.name, "ratio": bar.ratio, "bar": bar.bar, "ok": bar.ok} for bar in self.bars
            ],
        }

    def as_table(self) -> str:
        names = [row.name for row in self.rows] + [bar.name for bar in self.bars]
        width = max(map(len, names), default=0)
        lines = [self.title, *(f"  {line}" for line in _described(self.machine)), ""]
        lines += [f"{row.name:<{width}}  {format_number(row.value):>12} {row.unit}" for row in self.rows]
        if self.bars:
            lines.append("")
        lines += [
            f"{bar.name:<{width}}  {format_number(bar.ratio):>12} × "
            f"{bar.sense} {format_number(bar.bar)}: {'reached' if bar.ok else 'MISSED'}"
            for bar in self.bars
        ]
        return "\n".join(lines)

    def emit(self, *, as_json: bool, out: TextIO | None = None) -> None:
        """Print it whole on standard output (or `out`): nothing else belongs there when `as_json`."""
        text = json.dumps(self.as_json(), ensure_ascii=False) if as_json else self.as_table()
        print(text, file=out or sys.stdout, flush=True)


def _described(described: Mapping[str, Any]) -> list[str]:
    flat = [f"{name} {value}" for name, value in described.items() if not isinstance(value, Mapping)]
    nested = [
        f"{name}: " + ", ".join(f"{key} {inner}" for key, inner in value.items())
        for name, value in described.items()
        if isinstance(value, Mapping)
    ]
    return [", ".join(flat), *nested]


def format_number(value: float) -> str:
    """Three digits that matter, and thousands set apart: `1,234,567`, `12.3`, `0.00412`."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 0
    while abs(value) * 10**digits < 100 and digits < 9:
        digits += 1
    return f"{value:.{digits}f}"
