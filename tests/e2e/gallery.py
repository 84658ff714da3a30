"""A ledger file with a run in every state a page has to show, written under a clock that we set.

``python -m tests.e2e.gallery FILE`` writes one, for looking at the page by eye.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import msgspec

from progress_ledger.ledger import Append, Ledger
from progress_ledger.ledger.door import draft_run, parse_event, parse_spec

SHEETS = {
    "uploading": 33, "extracting": 96, "organizing": 4, "processing": 136,
    "collecting": 19, "loading": 43, "cleanup": 9,
}  # fmt: skip
"""Seconds that each stage of the staged job usually takes."""

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


class Step(NamedTuple):
    """``data`` as it goes over the wire; a run's spec for ``queued`` and ``started``."""

    at: float
    run_id: str
    type: str
    data: Mapping[str, Any]


class Script:
    """Steps of one run. Times are seconds from now, negative ones have passed."""

    def __init__(self, run_id: str, at: float, *, queued: bool = False, **spec: Any) -> None:
        self.run_id = run_id
        self.at = at
        self.dice = random.Random(run_id)
        if run_id != "import":
            spec = {"stall_seconds": 86_400, **spec}  # or all would be stalled after a minute of tests
        self.steps = [Step(at, run_id, "queued" if queued else "started", spec)]

    def then(self, type_name: str, after: float = 0.01, **data: Any) -> Script:
        self.at += after
        self.steps.append(Step(self.at, self.run_id, type_name, data))
        return self

    def work(
        self, to: int, seconds: float, *, ticks: int = 40, counts: Mapping[str, float] | None = None
    ) -> Script:
        """Ticks up to ``to`` in about ``seconds``, unevenly."""
        start = self.steps[-1].data.get("done", 0) if self.steps[-1].type == "ticked" else 0
        for step in range(1, ticks + 1):
            done = start + (to - start) * step // ticks
            data: dict[str, Any] = {"done": done}
            if counts:
                split = {name: int(done * share) for name, share in counts.items()}
                split[next(iter(split))] += done - sum(split.values())
                data["counts"] = split
            self.then("ticked", seconds / ticks * self.dice.uniform(0.6, 1.4), **data)
        return self


def sheets(
    run_id: str, at: float, upto: str | None = None, *, pace: float = 1.0, part: float = 1.0, **spec: Any
) -> Script:
    """The staged job, as far as ``part`` of the stage ``upto``, or to its end."""
    stages = [{"name": name, "weight": seconds} for name, seconds in SHEETS.items()]
    run = Script(run_id, at, kind="sheet_batch", scope="school:112", stages=stages, **spec)
    for name, seconds in SHEETS.items():
        total = 4 if name == "uploading" else 3 if name == "organizing" else 291
        run.then("stage_changed", stage=name, total=total)
        share = part if name == upto else 1.0
        counts = {"passed": 0.94, "failed": 0.02, "skipped": 0.04} if name == "processing" else None
        took = seconds * share * pace * run.dice.uniform(0.9, 1.1)
        run.work(max(1, int(total * share)), took, ticks=min(30, total), counts=counts)
        if name == upto:
            return run
    return run.then("completed", message="All sheets are in.")


def scripts() -> Iterator[Script]:
    """Every run of the gallery."""
    for day, pace in ((5, 1.1), (4, 0.95), (3, 1.0), (2, 1.2), (1, 0.9)):
        yield sheets(
            f"sheets-{21 - day}", -day * 86_400.0, pace=pace, title=f"Sheets of November {21 - day}"
        )  # fmt: skip
    yield sheets("sheets-21a", -3600, "extracting", part=0.34, title="Sheets of November 21").then(
        "failed", 2, error="OSError: [Errno 28] No space left on device: '/var/spool/sheets/extract.tmp'"
    )
    live = sheets(
        "sheets-21", -182, "processing", part=0.37, title="Sheets of November 21", retry_of="sheets-21a",
        labels={"team": "intake", "env": "prod"}, owner="worker-3:91c0", slot="sheets",
    )  # fmt: skip
    for _ in range(2):
        live.then("noted", 0.2, message="3 sheets had no QR code; they were set aside", level="warning",
                  link="https://example.org/aside")  # fmt: skip
    yield live
    yield (
        Script("pack-a", -60, kind="sheet", title="Pack A", parent="sheets-21", total=30)
        .work(30, 25)
        .then("completed")
    )
    yield Script("pack-b", -20, kind="sheet", title="Pack B", parent="sheets-21", total=30).work(17, 19)
    yield (
        Script("qa-6", -9000, kind="bulk_qa", title="QA of season 3", total=300)
        .work(300, 100, counts={"passed": 0.84, "qa_failed": 0.12, "skipped": 0.04})
        .then("completed")
    )
    yield Script("qa-7", -62, kind="bulk_qa", title="QA of season 4", total=291, scope="season:4").work(
        150, 60, counts={"passed": 0.9, "qa_failed": 0.07, "processing_failed": 0.03}
    )
    yield Script(
        "backup", -400, kind="backup", title="Nightly backup", total=64_000_000_000, unit="bytes"
    ).work(41_200_000_000, 396)
    yield Script("crawl", -300, kind="crawl", title="Crawl of the archive", unit="pages").work(1512, 296)
    yield Script("import", -900, kind="import", title="Import of partner data", total=1000).work(400, 170)
    yield Script("reindex", -90, kind="reindex", title="Rebuild the index", total=100, unit="documents").work(
        120, 80
    )
    ending = Script("export", -60, kind="export", title="Export for the auditors",
                    stages=[{"name": "reading"}, {"name": "writing"}, {"name": "cleanup"}])  # fmt: skip
    for name in ("reading", "writing", "cleanup"):
        ending.then("stage_changed", stage=name, total=20).work(20, 18, ticks=20)
    yield ending
    yield (
        Script("paused", -900, kind="move", title="Move avatars away", total=8000, unit="files")
        .work(2900, 300)
        .then("paused", reason="maintenance window")
    )
    yield (
        Script("cancelling", -200, kind="bulk_qa", title="QA of season 5", total=400)
        .work(120, 190)
        .then("cancel_requested", 2, reason="the wrong season", by="mara")
    )
    yield Script("waiting-1", -130, queued=True, kind="backfill", title="Backfill last_seen", total=71_000,
                 unit="rows")  # fmt: skip
    yield Script("waiting-2", -40, queued=True, kind="backfill", title="Backfill first_seen")
    yield (
        Script("gone", -5000, kind="sync", title="Sync of episode 2999", total=4000)
        .work(2500, 250)
        .then("interrupted", 90, reason="the lease of worker-9 ran out")
    )
    yield (
        Script("stopped", -6000, kind="sync", title="Sync of episode 2998", total=4000)
        .work(500, 50)
        .then("cancelled", 1, reason="asked by mara")
    )
    scope = "github:repo:" + "acme-" * 20
    yield Script(
        "long", -50, kind="crawl", title="A very long name " * 12, total=10, scope=scope,
        labels={"a" * 40: "b" * 40},
    ).work(3, 45, ticks=3)  # fmt: skip
    yield Script(
        "rtl", -50, kind="crawl", title="استيراد بيانات الشركاء للربع الرابع", total=10, scope="مشروع"
    ).work(5, 46, ticks=5)
    hostile = Script(
        "hostile", -45, kind=HOSTILE[:100], title=HOSTILE, scope=HOSTILE, total=10, unit=HOSTILE[:30],
        labels={HOSTILE[:40]: HOSTILE}, owner=HOSTILE, slot=HOSTILE, stages=[{"name": HOSTILE, "total": 10}],
    )  # fmt: skip
    hostile.then("stage_changed", stage=HOSTILE, message=HOSTILE).work(6, 40, ticks=6, counts={HOSTILE: 1.0})
    yield hostile.then("noted", message=HOSTILE, level="error", link="javascript:document.title='owned'")
    yield Script("emoji", -30, kind="crawl", title="🚀 Ship it 👩‍👩‍👧", total=10).work(6, 26, ticks=6)
    yield Script("fresh", -1, kind="crawl", title="Just begun", total=100)


async def fill(path: Path, *, now: float | None = None) -> None:
    """Write the gallery into a new ledger file, in the order of time."""
    moment = now or time.time()
    at = moment
    steps = sorted((step for script in scripts() for step in script.steps), key=lambda step: step.at)
    async with Ledger.open(path, durability="process", clock=lambda: at) as ledger:
        for step in steps:
            at = moment + min(step.at, 0.0)
            data = msgspec.json.encode(step.data)
            if step.type in ("queued", "started"):
                draft = draft_run(parse_spec(data), queued=step.type == "queued")
                request = Append(run_id=step.run_id, drafts=[draft], create=True)
            else:
                request = Append(run_id=step.run_id, drafts=[parse_event(step.type, data)])
            (outcome,) = await ledger.append_many([request])
            if isinstance(outcome, Exception):
                raise outcome


if __name__ == "__main__":
    anyio.run(fill, Path(sys.argv[1]))
