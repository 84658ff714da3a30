"""Recorded runs: read from disk, asked at even instants, turned into the events of a producer."""

from __future__ import annotations

import gzip
import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from progress_ledger.ledger.events import Completed, Event, Payload, Stage, StageChanged, Started, Ticked
from progress_ledger.ledger.times import format_time, parse_time

__all__ = ("EPOCH", "POINTS", "Trace", "by_kind", "events", "load", "loads")

POINTS = 200
"""Instants at which every estimator is asked, evenly spaced over 1–99 % of a run's time."""

EPOCH = parse_time("2026-01-01T00:00:00.000000Z")

_NAME = re.compile(r"(?P<kind>.+)_r(?P<number>\d+)\.jsonl(\.gz)?$")


@dataclass(slots=True)
class Trace:
    """One run: when how much of which total was done, and the stages in the order they began.

    `share` is the part of the whole that was done by then, every stage counting the same: all that anyone
    can know without history. None while the total is unknown.
    """

    kind: str
    number: int
    times: list[float] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    total: list[int | None] = field(default_factory=list)
    stage: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    share: list[float | None] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The run's duration."""
        return self.times[-1]

    def instants(self) -> list[float]:
        """The moments at which estimators are asked."""
        return [self.seconds * (0.01 + 0.98 * k / (POINTS - 1)) for k in range(POINTS)]

    def at(self, moment: float) -> int:
        """Index of the last tick at or before `moment`."""
        return max(0, bisect_right(self.times, moment) - 1)


def loads(text: str, kind: str, number: int) -> Trace:
    """A trace from lines of JSON; a line without a stage belongs to the same one as all others without."""
    trace = Trace(kind, number)
    order: dict[str, int] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        row = json.loads(line)
        trace.times.append(float(row["t"]))
        trace.done.append(int(row["done"]))
        trace.total.append(row.get("total"))
        trace.stage.append(row.get("stage") or "")
        order.setdefault(trace.stage[-1], len(order))
    trace.stages = list(order)
    top = 0.0
    for done, total, stage in zip(trace.done, trace.total, trace.stage, strict=True):
        inside = min(1.0, done / total) if total else None
        if inside is None and len(order) == 1:
            trace.share.append(None)
            continue
        top = max(top, (order[stage] + (inside or 0.0)) / len(order))
        trace.share.append(top)
    return trace


def load(folder: Path) -> list[Trace]:
    """All traces of a folder, `KIND_rN.jsonl.gz` or plain, that have any duration."""
    traces: list[Trace] = []
    for path in sorted(folder.iterdir()):
        match = _NAME.match(path.name)
        if match is None:
            continue
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        trace = loads(text, match["kind"], int(match["number"]))
        if trace.times and trace.seconds > 0:
            traces.append(trace)
    return traces


def by_kind(traces: list[Trace]) -> dict[str, list[Trace]]:
    """The traces of each kind in the order the runs were made."""
    kinds: dict[str, list[Trace]] = {}
    for trace in sorted(traces, key=lambda trace: (trace.kind, trace.number)):
        kinds.setdefault(trace.kind, []).append(trace)
    return kinds


def events(trace: Trace, *, first: int, scale: float = 1.0) -> Iterator[tuple[float, Event]]:
    """What a producer would have appended, each with the trace's time; positions count up from `first`.

    Names of stages are declared at the start, their totals are not. `scale` stretches the time.
    """
    staged = len(trace.stages) > 1
    run_id = f"{trace.kind}-{trace.number}"
    begin = EPOCH + first * 10.0

    def event(moment: float, version: int, data: Payload) -> tuple[float, Event]:
        time = format_time(begin + moment * scale)
        return moment, Event(run_id=run_id, version=version, time=time, data=data, position=first + version)

    stage = ""
    stages = [Stage(name=name) for name in trace.stages] if staged else []
    total = None if staged else trace.total[0]
    version = 1
    yield event(0.0, version, Started(kind=trace.kind, total=total, stages=stages))
    for moment, done, new, name in zip(trace.times, trace.done, trace.total, trace.stage, strict=True):
        if staged and name != stage:
            stage, total = name, new
            version += 1
            yield event(moment, version, StageChanged(stage=name, total=new))
        version += 1
        if new == total:
            yield event(moment, version, Ticked(done=done))
        else:
            total = new
            yield event(moment, version, Ticked(done=done, total=new))
    yield event(trace.seconds, version + 1, Completed())
