"""The tables and the picture of the page on ETAs, written from measured figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from statistics import fmean

from .score import Score

__all__ = ("BEGIN", "END", "PAGE", "PICTURE", "picture", "tables", "write_page")

DOCS = Path(__file__).parents[2] / "docs" / "explanation"
PAGE = DOCS / "eta.md"
PICTURE = DOCS / "eta.svg"
BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"

NAMES = {
    "ours": "progress-ledger",
    "tqdm": "tqdm",
    "rich": "rich",
    "mean": "plain mean",
    "window5": "last 5 ticks",
    "last3": "mean of the last 3 runs",
}
_COLOURS = {
    "ours": "#0b6e4f",
    "ours alone": "#6fb98f",
    "tqdm": "#c1440e",
    "rich": "#7b4fa3",
    "mean": "#555555",
}

Curves = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]


def write_page(
    overall: Mapping[str, dict[str, Score]], kinds: dict[str, dict[str, Score]], curves: Curves, *, runs: int
) -> None:
    """Put the figures between the page's two marks and write the picture beside it."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{tables(overall, kinds, runs=runs)}\n{END}{tail}", encoding="utf-8")
    PICTURE.write_text(picture(curves), encoding="utf-8")


def tables(overall: Mapping[str, dict[str, Score]], kinds: dict[str, dict[str, Score]], *, runs: int) -> str:
    """Markdown: one table a setting, and one of the kinds."""
    titles = {
        "history": "With the earlier runs of the kind known (only runs that have any are scored)",
        "none": "With nothing known but the run itself",
    }
    lines = [f"{runs} recorded runs of {len(kinds)} kinds with at least two runs.", ""]
    for setting, scores in overall.items():
        lines += [
            f"**{titles[setting]}**",
            "",
            "| | MARE | abs. log2 | within 20 % | p90 ratio | jitter | band |",
        ]
        lines += ["|---|---|---|---|---|---|---|"]
        for side, each in scores.items():
            band = "–" if each.coverage is None else f"{each.coverage:.0%}, ×{each.width or 1.0:.1f}"
            lines.append(
                f"| {NAMES[side]} | {each.mare:.2f} | {each.log2:.2f} | {each.in20:.0%} | {each.p90:.1f} "
                f"| {each.jitter:.1f} | {band} |"
            )
        lines.append("")
    lines += ["**Absolute log2 error by kind, earlier runs known**", ""]
    sides = ["ours", "tqdm", "rich", "mean", "window5", "last3"]
    lines += ["| kind | " + " | ".join(NAMES[side] for side in sides) + " |", "|---" * (len(sides) + 1) + "|"]
    for kind, scores in kinds.items():
        lines.append(f"| `{kind}` | " + " | ".join(f"{scores[side].log2:.2f}" for side in sides) + " |")
    return "\n".join(lines) + "\n"


def picture(curves: Curves, *, bins: int = 50) -> str:
    """SVG: mean |log2| error over the life of a run."""
    drawn = {side: curves["history"][side] for side in ("ours", "tqdm", "rich", "mean")}
    drawn["ours alone"] = curves["none"]["ours"]
    width, height, left, top, right, bottom = 720, 380, 60, 20, 150, 50
    inner_w, inner_h = width - left - right, height - top - bottom
    most = 3.0
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12" role="img" aria-label="Error of the estimated time left over the life of a run">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for ratio in (1, 1.5, 2, 3, 4, 6, 8):
        value = log2(ratio)
        y = top + inner_h * (1 - value / most)
        out.append(f'<line x1="{left}" x2="{left + inner_w}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#333">×{ratio:g}</text>')
    for percent in range(0, 101, 20):
        x = left + inner_w * percent / 100
        out.append(
            f'<text x="{x:.1f}" y="{top + inner_h + 18}" text-anchor="middle" fill="#333">{percent} %</text>'
        )
    out.append(
        f'<text x="{left + inner_w / 2}" y="{height - 12}" text-anchor="middle" fill="#333">time gone by'
        "</text>"
    )
    ends: list[tuple[float, str]] = []
    for side, runs in drawn.items():
        points = _binned(runs, bins)
        if not points:
            continue
        path = " ".join(
            f"{left + inner_w * x:.1f},{top + inner_h * (1 - min(most, y) / most):.1f}" for x, y in points
        )
        wide = 3 if side == "ours" else 1.6
        colour = _COLOURS[side]
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{wide}"/>')
        ends.append((top + inner_h * (1 - min(most, points[-1][1]) / most), side))
    names = NAMES | {"ours": "ours, with history", "ours alone": "ours, without"}
    lowest = top - 14.0
    for y, side in sorted(ends):
        lowest = max(lowest + 15.0, y)
        out.append(
            f'<text x="{left + inner_w + 8}" y="{lowest + 4:.1f}" fill="{_COLOURS[side]}">'
            f"{names[side]}</text>"
        )
    return "\n".join([*out, "</svg>"]) + "\n"


def _binned(runs: Sequence[Sequence[float]], bins: int) -> list[tuple[float, float]]:
    """Mean over runs, the instants of each gathered into `bins`."""
    if not runs:
        return []
    n = len(runs[0])
    points: list[tuple[float, float]] = []
    for k in range(bins):
        part = range(k * n // bins, (k + 1) * n // bins)
        x = fmean(0.01 + 0.98 * i / (n - 1) for i in part)
        points.append((x, fmean(run[i] for run in runs for i in part)))
    return points
