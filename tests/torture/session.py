"""One session: a world, faults at random by seed until the time is over, the checks, and the report."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from . import disk, faults
from .process import ANSWER_SECONDS
from .samples import Samples
from .world import FULL, SMALL, World, world

__all__ = ("Report", "torture")

_SOAK = (*faults.NETWORK, faults.kill_producer, faults.long_reader)


class Report:
    """What was done, what was checked, and the promise that did not hold, if one did not."""

    def __init__(self, seed: int, minutes: float) -> None:
        self.seed = seed
        self.minutes = minutes
        self.seconds = 0.0
        self.broken: str | None = None
        self.folder: str | None = None
        self.numbers: dict[str, Any] = {}
        self.faults: dict[str, int] = {}
        self.slopes: dict[str, float] = {}

    def take(self, torn: World) -> None:
        model = torn.model
        for reader in torn.readers:
            torn.tally.update(reader.tally)
            reader.tally.clear()
        self.faults = dict(sorted(torn.faults.items()))
        self.numbers = {
            "faults": sum(torn.faults.values()),
            "events in the log, checked": model.checked,
            "acknowledged events, checked": len(model.acks),
            "acknowledged events lost": 0 if self.broken is None else None,
            "cut away on purpose with the write-ahead log": model.cut_away,
            "runs": len(model.runs),
            "frames held against the log": torn.seen_checked,
            "snapshots held against a fold": torn.snapshots_checked,
            "runs folded afresh at the end": torn.tally["refolded"],
            "server starts": torn.server.starts + torn.second.starts,
            "longest start, waits for a processor apart, s": round(torn.server.slowest_start, 2),
            "longest until it answered again, s": round(torn.slowest, 2),
            "longest until every reader was told all, s": round(torn.slowest_reader, 2),
            "the last of these": torn.slowest_one.split("; ")[0],
            "until every reader was told all, at the end, s": round(torn.drained, 2),
            **{key: count for key, count in sorted(torn.tally.items()) if key != "refolded"},
        }

    def facts(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "seconds": round(self.seconds),
            "broken": self.broken,
            "faults": self.faults,
            **self.numbers,
            "slopes": self.slopes,
        }

    def text(self) -> str:
        lines = [f"seed {self.seed}, {self.seconds:.0f} s"]
        lines += [f"  {name:48} {count}" for name, count in self.numbers.items()]
        lines += ["faults"] + [f"  {name:48} {count}" for name, count in self.faults.items()]
        if self.slopes:
            lines += ["slopes of the server, an hour"]
            lines += [f"  {name:48} {slope:+.1f}" for name, slope in self.slopes.items()]
        if self.broken is None:
            lines.append("every promise held")
        else:
            kept = f"the file is kept in {self.folder}; " if self.folder else ""
            lines.append(
                f"BROKEN: {self.broken}\n  {kept}again: python -m tests.torture "
                f"--minutes {self.minutes:g} --seed {self.seed}"
            )
        return "\n".join(lines)


def _chosen(only: Sequence[str], *, soak: bool, without: Collection[faults.Fault]) -> list[faults.Fault]:
    every = (*faults.NETWORK, *faults.PROCESSES, *disk.DISK)
    if only:
        known = {fault.__name__: fault for fault in every}
        return [known[name] for name in only]
    return [fault for fault in (_SOAK if soak else every) if fault not in without]


async def torture(
    *,
    seconds: float,
    seed: int,
    only: Sequence[str] = (),
    soak: bool = False,
    small: bool = False,
    each: bool = False,
    folder: Path | None = None,
    answer_within: float = ANSWER_SECONDS,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Does not raise for a promise that does not hold: it is in the report.

    ``each``: every fault once at least, however long that takes.
    """
    report = Report(seed, seconds / 60)
    place = Path(tempfile.mkdtemp(prefix="torture-")) if folder is None else folder
    # Every other seed, since such a disk syncs nothing and so waits for nothing.
    mounted = folder is None and not soak and seed % 2 == 0 and disk.mount_small(place)
    began = time.monotonic()
    samples = Samples()
    failing = disk.failing_disk(place)
    without = {fault for fault, able in ((disk.full_disk, mounted), (disk.failing, failing)) if not able}
    chosen = _chosen(only, soak=soak, without=without)
    async with world(place, seed, SMALL if small else FULL, failing) as torn:
        torn.answer_within = answer_within
        try:
            queue: list[faults.Fault] = []
            await torn.answers()
            await torn.check()
            while time.monotonic() - began < seconds or (each and len(torn.faults) < len(chosen)):
                await asyncio.sleep(torn.dice.uniform(0.2, 1.2))
                # Each once before any comes again, in another order every time.
                if not queue:
                    queue = torn.dice.sample(chosen, len(chosen))
                fault = queue.pop()
                say(f"{time.monotonic() - began:6.1f} s  {fault.__name__}  (head {torn.model.position})")
                await fault(torn)
                torn.faults[fault.__name__] += 1
                await torn.answers()
                await torn.check()
                await samples.take(torn.server)
            await torn.finish()
        except Exception as error:
            first = torn.failures[0] if torn.failures else error
            report.broken = f"{type(first).__name__}: {first}"
            report.folder = str(place)
            if not isinstance(first, AssertionError):
                say("".join(traceback.format_exception(first)))
        finally:
            report.seconds = time.monotonic() - began
            report.take(torn)
            report.slopes = samples.slopes()
    if mounted:
        if report.broken is not None:
            report.folder = tempfile.mkdtemp(prefix="torture-kept-")
            shutil.copytree(place, report.folder, dirs_exist_ok=True)
        disk.unmount(place)
    if folder is None and (mounted or report.broken is None):
        shutil.rmtree(place, ignore_errors=True)
    return report
