"""The page and the picture of all benchmarks, from what they reported. Pure: reports in, text out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from .harness import format_number

__all__ = ("Question", "page", "picture")


class Question(NamedTuple):
    """A benchmark by its module's name, what it asks, and the object it reported (None when it failed).

    ``explains`` is Markdown: how it is measured, and what that does not show. A report with ``trial`` set was
    made on small sizes, and the page says so.
    """

    name: str
    asks: str
    report: Mapping[str, Any] | None
    explains: str = ""


HEAD = """# How fast it is

This page is made by `python -m benchmarks`, which anybody can run. Sides that are compared took turns on the
machine below; a figure is the median of its rounds.

## What these numbers do not show

- Other machines and disks. Ratios carry further than absolute figures, and a figure of another run compares
  nothing: what stands in one section was measured together, sections were not.
- A quiet machine. The one below has {cores} cores and neighbours; single rounds lie apart, as the rows named
  *spread* say.
- A cold page cache, a network between server and readers, TLS.
- That you need it. Most jobs append four events a second.

Each section says what else its own figures leave out.
{trials}
## The machine

{machine}

{versions}

## What was wanted, and what was reached

![Every bar and what was reached](performance.svg)

Right of the line is better than was wanted, left of it worse; each step is a factor of two.
"""


_TRIALS = "**Tried only, on small sizes and a busy machine, so that these figures say little:** "


def page(questions: Sequence[Question]) -> str:
    """The whole page in Markdown: first the bars, those that were missed by name, then all figures."""
    reported = [question for question in questions if question.report is not None]
    machine = _machine(reported[0]) if reported else {}
    common = {key: value for key, value in machine.items() if _is_common(reported, key, value)}
    versions: dict[str, str] = {}
    for question in reported:
        versions |= _machine(question).get("versions", {})
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    trials = [f"`{one.name}`" for one in reported if one.report and one.report.get("trial")]
    lines = [
        HEAD.format(
            cores=machine.get("cores", "few"),
            machine=_facts(common),
            versions=_wrapped(f"With {told}.") if told else "",
            trials="\n" + _wrapped(_TRIALS + ", ".join(trials) + ".") + "\n" if trials else "",
        )
    ]
    missed = [(question, bar) for question in reported for bar in _bars(question) if not bar["ok"]]
    met = sum(1 for question in reported for bar in _bars(question) if bar["ok"])
    lines.append("## What falls short\n")
    if missed:
        lines.append(f"{met} of {met + len(missed)} bars were reached. These were not:\n")
    lines += [
        f"- `{question.name}`: {bar['name']}: {format_number(bar['ratio'])}, wanted {_wanted(bar)}."
        for question, bar in missed
    ] or ["Nothing: every bar was reached."]
    lines += [
        f"- `{question.name}` did not finish here." for question in questions if question.report is None
    ]
    lines.append("")
    for question in reported:
        lines += _section(question, common)
    return "\n".join(lines).rstrip() + "\n"


def _section(question: Question, common: Mapping[str, Any]) -> list[str]:
    lines = [f"## {question.asks}\n", f"`python -m benchmarks.{question.name}`\n"]
    if question.explains:
        lines.append(question.explains.strip() + "\n")
    machine = _machine(question)
    own = {key: value for key, value in machine.items() if key not in common and key != "versions"}
    if own:
        settings = ", ".join(_told(key, value) for key, value in own.items())
        lines.append(_wrapped(f"Measured with {settings}.") + "\n")
    bars = _bars(question)
    if bars:
        lines += ["| bar | reached | wanted | |", "|---|---|---|---|"]
        lines += [
            f"| {_cell(bar['name'])} | {format_number(bar['ratio'])} | {_wanted(bar)} | {_met(bar)} |"
            for bar in bars
        ]
        lines.append("")
    assert question.report is not None
    lines += ["| figure | value | unit |", "|---|---|---|"]
    lines += [
        f"| {_cell(row['name'])} | {format_number(row['value'])} | {row['unit']} |"
        for row in question.report["rows"]
    ]
    lines.append("")
    return lines


_WIDTH = 960
_ROW = 20
_NAMES = 540
_LINE = 660
_STEP = 24
"""Pixels of a factor of two."""
_LEFT, _RIGHT = 4, 6
"""Factors of two that are drawn; what lies beyond is cut there."""


def picture(questions: Sequence[Question]) -> str:
    """Each bar beside a line: right of it what is better than was wanted, left of it what is worse."""
    shown = [question for question in questions if question.report and _bars(question)]
    height = 40 + sum(_ROW * (len(_bars(question)) + 1) + 6 for question in shown)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for step in range(-_LEFT, _RIGHT + 1):
        x = _LINE + step * _STEP
        label = "wanted" if step == 0 else f"{2**step}×" if step > 0 else f"1/{2**-step}"
        if step % 2 == 0:
            parts.append(f'<text x="{x}" y="16" text-anchor="middle" fill="#555">{label}</text>')
        parts.append(f'<line x1="{x}" y1="22" x2="{x}" y2="{height - 8}" stroke="#e4e4e4"/>')
    y = 28
    for question in shown:
        parts.append(
            f'<text x="8" y="{y + 13}" font-weight="bold" fill="#222">{escape(question.name)}</text>'
        )
        y += _ROW
        for bar in _bars(question):
            parts += _drawn(bar, y)
            y += _ROW
        y += 6
    parts += [
        f'<line x1="{_LINE}" y1="22" x2="{_LINE}" y2="{height - 8}" stroke="#444" stroke-width="1.5"/>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _drawn(bar: Mapping[str, Any], y: int) -> list[str]:
    factors = max(-float(_LEFT), min(float(_RIGHT), _factors(bar)))
    width = max(2.0, abs(factors) * _STEP)
    x = _LINE if bar["ok"] else _LINE - width
    colour = "#1b7340" if bar["ok"] else "#b1213a"
    name = str(bar["name"])
    name = name if len(name) <= 78 else name[:77] + "…"
    reached = f"{format_number(bar['ratio'])} ({_wanted(bar)})"
    # What was missed has its figure right of the line, where there is room.
    at = _LINE + 6 if not bar["ok"] else x + width + 6
    return [
        f'<text x="{_NAMES}" y="{y + 13}" text-anchor="end" fill="#222">{escape(name)}</text>',
        f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="14" fill="{colour}"/>',
        f'<text x="{at:.1f}" y="{y + 13}" fill="{colour}" font-size="11">{escape(reached)}</text>',
    ]


def _factors(bar: Mapping[str, Any]) -> float:
    """How many times twice as good as was wanted."""
    ratio, wanted = float(bar["ratio"]), float(bar["bar"])
    if _at_most(bar):
        # What costs nothing at all, or less, is as good as it gets.
        return math.log2(wanted / ratio) if ratio > 0 else float(_RIGHT)
    return math.log2(ratio / wanted) if ratio > 0 else -float(_LEFT)


def _bars(question: Question) -> list[dict[str, Any]]:
    return [] if question.report is None else list(question.report["bars"])


def _at_most(bar: Mapping[str, Any]) -> bool:
    # The report tells only whether a bar was met: from that and the order of the two follows its direction.
    below = float(bar["ratio"]) < float(bar["bar"])
    return below == bool(bar["ok"])


def _met(bar: Mapping[str, Any]) -> str:
    return "yes" if bar["ok"] else "**no**"


def _wanted(bar: Mapping[str, Any]) -> str:
    return f"{'≤' if _at_most(bar) else '≥'} {format_number(bar['bar'])}"


def _machine(question: Question) -> Mapping[str, Any]:
    assert question.report is not None
    found: Mapping[str, Any] = question.report.get("machine") or {}
    return found


def _is_common(reported: Sequence[Question], key: str, value: object) -> bool:
    # Facts of the machine are in every report and alike; what is not is a setting of that benchmark.
    if isinstance(value, Mapping):
        return False
    return all(_machine(question).get(key) == value for question in reported)


def _told(key: str, value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(_told(str(inner), found) for inner, found in value.items())
    shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return f"{key.replace('_', ' ')} {shown}"


def _facts(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"- {key.replace('_', ' ')}: {value}" for key, value in facts.items())


def _wrapped(text: str) -> str:
    return fill(text, 108, break_long_words=False, break_on_hyphens=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
