"""How runs look in a terminal: tables and bars for people, one JSON object a line for everything else.

Whatever a producer wrote is shown as plain text: control characters, which a terminal would obey, are
replaced.
"""

import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.events import TERMINAL

__all__ = (
    "STYLES",
    "amount",
    "bar",
    "clock_time",
    "console",
    "done_of",
    "duration",
    "event_row",
    "for_people",
    "ended",
    "plain",
    "rate",
    "run_lines",
    "run_table",
    "runs_table",
    "sparkline",
    "status_text",
    "write_json",
    "write_line",
)

STYLES = {
    "queued": "dim",
    "running": "cyan",
    "stalled": "bold yellow",
    "paused": "magenta",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "dim yellow",
    "interrupted": "bold magenta",
}
"""A colour for each status; the word always stands beside it."""

_BAR = 20
_SPARKS = "▁▂▃▄▅▆▇█"
_MARKS = {"done": ("✓ ", "green"), "active": ("▸ ", "cyan"), "pending": ("· ", "dim")}
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def for_people(json_asked: bool) -> bool:
    """Whether to draw tables: on a terminal, unless JSON was asked for."""
    return not json_asked and sys.stdout.isatty()


def write_line(line: bytes) -> None:
    """A line of JSON to standard output, at once: whoever reads the pipe is waiting."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def write_json(value: object) -> None:
    """``value`` as one line."""
    write_line(ascii_json(value))


def plain(text: object) -> str:
    """Text on one line without anything a terminal would obey."""
    return "".join(
        " " if character in "\t\n\r" else "\N{REPLACEMENT CHARACTER}" if _obeyed(character) else character
        for character in str(text)
    )


def _obeyed(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Cs")
        or character in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
    )


def duration(seconds: float | None) -> str:
    """``1:02:03``, ``2:03``, ``0.4 s``; a dash when unknown."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def amount(value: float | None, unit: str | None) -> str:
    """A number with its unit; bytes in powers of 1,024; ``?`` when unknown."""
    if value is None:
        return "?"
    if unit != "bytes":
        return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:,.1f}"
    step = 0
    while value >= 1024 and step < len(_BYTES) - 1:
        value /= 1024
        step += 1
    return f"{value:.0f} {_BYTES[step]}" if step == 0 else f"{value:.1f} {_BYTES[step]}"


def rate(run: Mapping[str, Any]) -> str:
    """The run's rate with its unit."""
    if run["rate"] is None:
        return "–"
    unit = run["unit"]
    return amount(run["rate"], unit) + ("/s" if unit in (None, "bytes") else f" {plain(unit)}/s")


def clock_time(time: str | None) -> str:
    """A time of the log on this machine's clock."""
    if time is None:
        return "–"
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def status_text(run: Mapping[str, Any]) -> Text:
    """The status as a coloured word; ``stalled`` in place of ``running`` where that is so."""
    word = "stalled" if run["stalled"] else run["status"]
    return Text(word, STYLES.get(word, ""))


def ended(run: Mapping[str, Any]) -> bool:
    """Whether the run has its outcome."""
    return run["status"] in TERMINAL


def bar(percent: float | None, *, cells: int = _BAR) -> Text:
    """A bar of so many cells with its percent beside it; ``?`` when unknown."""
    if percent is None:
        return Text("?".rjust(6))
    filled = int(cells * percent / 100)
    drawn = Text("█" * filled, "cyan") + Text("─" * (cells - filled), "dim")
    return Text.assemble(drawn, " " if cells else "", f"{percent:5.1f} %")


def done_of(run: Mapping[str, Any]) -> str:
    """``150/291 items``."""
    unit = run["unit"]
    text = amount(run["done"], unit)
    if run["total"] is not None:
        text += f"/{amount(run['total'], unit)}"
    return text if unit in (None, "bytes") else f"{text} {plain(unit)}"


def runs_table(runs: list[dict[str, Any]], *, width: int = 120, chosen: str | None = None) -> Table:
    """The list: a row a run. A narrow terminal gets fewer columns, and always whole run ids.

    The ``chosen`` run is marked by a sign, and by reversed colours where there are any.
    """
    shown = ["run", "kind", "status", "progress", "left"]
    if width >= 100:
        shown.insert(4, "done")
    if width >= 140:
        shown.append("updated")
    rows = [_row(run, cells=10 if width >= 120 else 0) for run in runs]
    marks = [chosen is not None and run["run_id"] == chosen for run in runs]
    if chosen is not None:
        for row, marked in zip(rows, marks, strict=True):
            row["run"] = Text("> " if marked else "  ") + row["run"]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in shown:
        narrow = name == "kind"
        widest = 0 if narrow else max((row[name].cell_len for row in rows), default=0)
        table.add_column(
            name, no_wrap=True, overflow="ellipsis", min_width=widest, max_width=16 if narrow else None
        )
    for row, marked in zip(rows, marks, strict=True):
        table.add_row(*(row[name] for name in shown), style="reverse" if marked else None)
    return table


def _row(run: Mapping[str, Any], *, cells: int) -> dict[str, Text]:
    return {
        "run": Text(plain(run["run_id"])),
        "kind": Text(plain(run["kind"])),
        "status": status_text(run),
        "progress": bar(run["percent"], cells=cells),
        "done": Text(done_of(run)),
        "left": Text("–" if ended(run) else duration(run["eta_seconds"])),
        "updated": Text(clock_time(run["updated_at"])),
    }


_SHOWN = ("title", "scope", "stage", "message", "error", "owner", "slot", "parent", "retry_of")


def run_table(run: dict[str, Any]) -> Table:
    """One run with all that is known of it, a line a fact, and its stages."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("run", Text(plain(run["run_id"])))
    table.add_row("kind", Text(plain(run["kind"])))
    status = status_text(run)
    if run["stalled"]:
        status += Text(f", no progress for {duration(run['stalled_seconds'])}")
    if run["cancel_requested"]:
        status += Text(", cancel requested")
    table.add_row("status", status)
    table.add_row("progress", bar(run["percent"]))
    table.add_row("done", Text(done_of(run)))
    for name in _SHOWN:
        if run[name] is not None:
            table.add_row(name.replace("_", " "), Text(plain(run[name])))
    for name in ("counts", "labels"):
        if run[name]:
            table.add_row(name, Text(", ".join(f"{plain(k)} {plain(v)}" for k, v in run[name].items())))
    table.add_row("rate", Text(rate(run)))
    if not ended(run):
        table.add_row("left", Text(duration(run["eta_seconds"])))
    table.add_row("took", Text(duration(run["elapsed_seconds"])))
    for name in ("queued_at", "started_at", "updated_at", "finished_at"):
        if run[name] is not None:
            table.add_row(name.removesuffix("_at"), Text(clock_time(run[name])))
    if run["result"] is not None:
        table.add_row("result", Text(plain(ascii_json(run["result"]).decode())))
    table.add_row("version", Text(f"{run['version']} (position {run['position']})"))
    for stage in run["stages"]:
        share = "?" if stage["percent"] is None else f"{stage['percent']:.0f} %"
        table.add_row(f"· {plain(stage['name'])}", Text(f"{stage['status']} {share}"))
    return table


def event_row(event: dict[str, Any]) -> tuple[Text, Text, Text, Text]:
    """Version, time, type and data of an event, for a table."""
    data = ", ".join(f"{plain(key)}={_value(value)}" for key, value in event["data"].items())
    return (
        Text(f"v{event['version']}"),
        Text(clock_time(event["time"])),
        Text(plain(event["type"]), STYLES.get(event["type"], "")),
        Text(data, overflow="fold"),
    )


def _value(value: object) -> str:
    return plain(value if isinstance(value, str) else ascii_json(value).decode())


def console() -> Console:
    """Standard output for people. ``TERM=dumb`` and ``NO_COLOR`` are heeded."""
    return Console(highlight=False, markup=False)


def sparkline(values: Sequence[float]) -> str:
    """The course of some numbers as one small bar each, the largest as high as it goes."""
    highest = max(values, default=0.0)
    if highest <= 0:
        return ""
    return "".join(_SPARKS[min(7, int(value / highest * 7.999))] for value in values)


def run_lines(run: dict[str, Any], *, rates: Sequence[float] = (), notes: Sequence[str] = ()) -> Group:
    """A run as a few lines for a live view: name and status, bar, numbers, stages, last message, notes."""
    name = Text(plain(run["title"] or run["kind"]), "bold") + Text(f"  {plain(run['run_id'])}", "dim")
    numbers = Text(f"{done_of(run)}  ·  {rate(run)}  ·  ")
    if ended(run):
        numbers += Text(f"took {duration(run['elapsed_seconds'])}")
    else:
        numbers += Text(f"{duration(run['elapsed_seconds'])} gone, {duration(run['eta_seconds'])} left")
    lines: list[Text] = [name, bar(run["percent"]) + Text("  ") + status_text(run), numbers]
    if run["stages"]:
        widest = min(24, max(len(plain(stage["name"])) for stage in run["stages"]))
        lines += [_stage_line(stage, widest) for stage in run["stages"]]
    if drawn := sparkline(rates):
        lines.append(Text("rate ", "dim") + Text(drawn, "cyan"))
    for key, style in (("message", ""), ("error", "red")):
        if run[key]:
            lines.append(Text(plain(run[key]), style, no_wrap=True, overflow="ellipsis"))
    lines += [
        Text(f"- {plain(note)}", "dim", no_wrap=True, overflow="ellipsis")
        for note in notes
        if note != run["message"]
    ]
    return Group(*lines)


def _stage_line(stage: Mapping[str, Any], widest: int) -> Text:
    mark, style = _MARKS[stage["status"]]
    name = Text(plain(stage["name"]))
    name.truncate(widest, overflow="ellipsis", pad=True)
    share = 0.0 if stage["percent"] is None and stage["status"] == "pending" else stage["percent"]
    return Text(mark, style) + name + " " + bar(share, cells=_BAR)
