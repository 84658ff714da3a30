"""Take a bundle into a ledger: verified first from its first line to its last, then run by run."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

from anyio import sleep, to_thread
from msgspec import Struct

from ..errors import LedgerError
from ..events import TERMINAL
from ..sqlite import SQLiteLog
from ..sqlite.importing import import_run, pages_of_run
from .bundle import BundleDamaged, parse_line
from .note import VerifierKey
from .verdict import open_bundle, verify_bundle

__all__ = ("ImportReport", "import_bundle")

_WORK_SECONDS = 0.02
_REST = 0.4
"""After so many seconds of work this share of them is left to others, who would else wait in vain for a turn
to write, or not come to fold as fast as this writes."""


class ImportReport(Struct, kw_only=True):
    """What came in: ``runs`` with ``events``; ``known`` were there already; ``refused`` and why."""

    epoch: str
    runs: int = 0
    events: int = 0
    known: int = 0
    refused: dict[str, str] = {}


async def import_bundle(
    log: SQLiteLog, path: Path, *, notes: Sequence[str] = (), key: VerifierKey | None = None
) -> ImportReport:
    """Append the finished runs of the bundle at ``path``, their stored bytes unchanged, at new positions.

    A run that is not over, not whole, or whose id is another run's here is refused by itself. Holds in memory
    the events of the runs that are open at one point of the bundle.
    Raises BundleDamaged when the bundle does not verify: then nothing is imported.
    """
    verdict = await to_thread.run_sync(partial(verify_bundle, path, notes=notes, key=key))
    if not verdict.ok:
        first = verdict.findings[0]
        raise BundleDamaged(
            f"{path} does not verify, nothing was imported: {first.message}",
            position=first.position,
            run_id=first.run_id,
        )
    report = ImportReport(epoch=verdict.epoch)
    waiting: dict[str, list[bytes]] = {}
    began = perf_counter()
    with open_bundle(path) as (_, lines):
        for line in lines:
            event = parse_line(line.removesuffix(b"\n"))
            assert event is not None, "verified a moment ago"
            bodies = waiting.setdefault(event.run_id, [])
            bodies.append(event.body)
            if event.type not in TERMINAL:
                continue
            del waiting[event.run_id]
            try:
                fresh = await log.on_writer(
                    partial(import_run, run_id=event.run_id, bodies=bodies), pages=pages_of_run(bodies)
                )
            except LedgerError as error:
                report.refused[event.run_id] = str(error)
                continue
            report.runs += fresh
            report.events += len(bodies) if fresh else 0
            report.known += not fresh
            if (worked := perf_counter() - began) > _WORK_SECONDS:
                await sleep(_REST * worked)
                began = perf_counter()
    for run_id in waiting:
        report.refused[run_id] = f"Run {run_id!r} is not over in this bundle; export it again when it is."
    return report
