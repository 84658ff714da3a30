"""The page and the picture of all benchmarks, from what they reported. Pure: reports in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from .harness import format_number

__all__ = ("Question", "page", "picture")


class Question(NamedTuple):
    """A benchmark by its module's name, what it asks, and the object it reported (None when it failed)."""

    name: str
    asks: str
    report: Mapping[str, Any] | None


HEAD = """# How fast it is

This page is made by `python -m benchmarks`; every figure is of the one run named here.

## What these numbers do not show

- Other machines and disks. Sides of a comparison run in turns on one machine, and ratios carry further than
  absolute figures; a figure of another run, or of another machine, compares nothing.
- A quiet machine. The one below has {cores} cores that it shares; medians are given, single rounds lie apart.
- A cold page cache, a file of ten million events, a network between server and readers, TLS.
- That you need it. Most jobs append four events a second.

## The machine

{machine}

![Every bar and what was reached](performance.svg)
"""


def page(questions: Sequence[Question]) -> str:
    """The whole page in Markdown: first the bars, those that were missed by name, then all figures."""
    reported = [question for question in questions if question.report is not None]
    machine = reported[0].report["machine"] if reported and reported[0].report else {}
    flat = {key: value for key, value in machine.items() if not isinstance(value, dict | list)}
    lines = [HEAD.format(cores=machine.get("cores", "few"), machine=_facts(flat))]
    libraries = machine.get("libraries")
    if isinstance(libraries, dict):
        lines.append("Versions: " + ", ".join(f"{name} {told}" for name, told in libraries.items()) + ".\n")
    missed = [(question, bar) for question in reported for bar in _bars(question) if not bar["ok"]]
    lines.append("## What falls short\n")
    lines += [
        f"- `{question.name}`: {bar['name']}: {format_number(bar['ratio'])}, wanted {_wanted(bar)}."
        for question, bar in missed
    ] or ["Nothing: every bar was reached."]
    failed = [question for question in questions if question.report is None]
    lines += [f"- `{question.name}` did not finish here." for question in failed]
    lines.append("")
    for question in reported:
        lines += [f"## {question.asks}\n", f"`python -m benchmarks.{question.name}`\n"]
        bars = _bars(question)
        if bars:
            lines += ["| bar | reached | wanted | |", "|---|---|---|---|"]
            lines += [
                f"| {bar['name']} | {format_number(bar['ratio'])} | {_wanted(bar)} | {_met(bar)} |"
                for bar in bars
            ]
            lines.append("")
        assert question.report is not None
        lines += ["| figure | value | unit |", "|---|---|---|"]
        lines += [
            f"| {row['name']} | {format_number(row['value'])} | {row['unit']} |"
            for row in question.report["rows"]
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def picture(questions: Sequence[Question]) -> str:
    """Each bar as a line: the mark is what was wanted, the length what was reached, as a ratio to it."""
    bars = [(question.name, bar) for question in questions if question.report for bar in _bars(question)]
    height = 24 * len(bars) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="900" height="{height}" fill="#ffffff"/>',
        '<text x="620" y="18" text-anchor="middle" fill="#444">wanted</text>',
    ]
    for place, (name, bar) in enumerate(bars):
        y = 28 + 24 * place
        reached = _part(bar)
        width = max(2.0, min(380.0, 200.0 * reached))
        colour = "#1b7340" if bar["ok"] else "#b1213a"
        label = f"{name}: {bar['name']}"
        shown = label if len(label) <= 62 else label[:61] + "…"
        parts += [
            f'<text x="410" y="{y + 12}" text-anchor="end" fill="#222">{escape(shown)}</text>',
            f'<rect x="420" y="{y}" width="{width:.1f}" height="16" fill="{colour}"/>',
            f'<text x="{428 + width:.1f}" y="{y + 12}" fill="#222">{format_number(bar["ratio"])}</text>',
        ]
    parts += [
        f'<line x1="620" y1="24" x2="620" y2="{height - 8}" stroke="#444" stroke-dasharray="3 3"/>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


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


def _part(bar: Mapping[str, Any]) -> float:
    if not bar["bar"] or not bar["ratio"]:
        return 0.0
    return float(bar["bar"] / bar["ratio"] if _at_most(bar) else bar["ratio"] / bar["bar"])


def _facts(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"- {key.replace('_', ' ')}: {value}" for key, value in facts.items())
