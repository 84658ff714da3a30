"""Retention: archive whole finished runs, verify the archive, then remove their payloads from the log.

What stays of a run is its row, its positions and the hashes in the tree: old checkpoints and proofs stay
valid, ids stay taken, and what other runs were told by history is kept by the projections. Each pruning is
a run of kind ``ledger.prune`` in the log: what, why, by whom. Every transaction is short; an interrupted
pruning goes on with the next one.
"""

from contextlib import ExitStack
from functools import partial
from hashlib import file_digest
from pathlib import Path

import anyio
import anyio.lowlevel
from anyio import to_thread
from msgspec import Struct

from ..errors import Unavailable
from ..events import Completed, Noted, RunSpec, Ticked
from ..ledger import Ledger
from ..sqlite import SQLiteLog
from ..sqlite import prune as sqlite_prune
from ..sqlite.export import Selection
from ..sqlite.prune import PRUNE_KIND, Finished
from ..times import format_time
from .bundle import BundleDamaged, Manifest
from .export import export_proven, manifest_path, write_whole
from .note import Signer
from .tree import Tree
from .verdict import verify_bundle

__all__ = ("PruneReport", "Retention", "prune")

_RUNS = 200
"""Runs of one archive."""

_EVENTS = 250
"""Events that lose their body in one transaction: about a millisecond for whoever appends."""

_PAGES = 256
"""Pages given back to the system at a time."""


class Retention(Struct, frozen=True, kw_only=True):
    """What may go: runs that ended more than ``older_than`` seconds ago. ``archive`` is the folder that their
    bundles go to first; None removes without a copy. ``by`` and ``reason`` are written into the log."""

    older_than: float
    keep_failed: bool = False
    archive: Path | None = None
    by: str = ""
    reason: str = ""


class PruneReport(Struct, kw_only=True):
    """What a pruning did; ``run_id`` is the run that records it, None when there was nothing to do."""

    run_id: str | None = None
    runs: int = 0
    events: int = 0
    archives: list[str] = []
    resumed: int = 0
    pages: int = 0


async def prune(
    ledger: Ledger, retention: Retention, *, signer: Signer | None = None, dry_run: bool = False
) -> PruneReport:
    """Prune what ``retention`` lets go; with ``dry_run`` only count it.

    Raises Unavailable on an engine without a tree, BundleDamaged when an archive does not verify (nothing of
    it is removed then).
    """
    log = ledger.log
    if not isinstance(log, SQLiteLog):
        raise Unavailable("Only a ledger in a file can be pruned.")
    report = PruneReport()
    before = format_time(ledger.clock() - retention.older_than)
    ready = partial(sqlite_prune.candidates, before=before, keep_failed=retention.keep_failed)
    if dry_run:
        found = await log.on_reader(partial(ready, limit=1 << 31))
        return PruneReport(runs=len(found), events=sum(run.version for run in found))
    for run in await log.on_reader(sqlite_prune.unfinished):
        await _strip(log, run)
        report.resumed += 1
    tree = Tree(log)
    await tree.catch_up()
    while runs := await log.on_reader(partial(ready, limit=_RUNS)):
        if report.run_id is None:
            report.run_id = await _begin(ledger, retention, before)
        archive = await _archive(ledger, log, tree, runs, retention, signer, len(report.archives))
        if archive:
            report.archives.append(archive)
        removed = 0
        for run in runs:
            if await log.on_writer(partial(sqlite_prune.mark_pruned, run=run, archive=archive)):
                await _strip(log, run)
                report.runs += 1
                removed += run.version
        report.events += removed
        note = await to_thread.run_sync(_note, runs, archive)
        await ledger.append(report.run_id, [note, Ticked(done=report.runs)])
        if not removed:
            break
    report.pages = await _give_back(log)
    if report.run_id is not None:
        result = {
            "runs": report.runs,
            "events": report.events,
            "before": before,
            "archives": report.archives[:50],
        }
        await ledger.append(report.run_id, [Completed(message=f"{report.runs} runs pruned", result=result)])
    return report


async def _begin(ledger: Ledger, retention: Retention, before: str) -> str:
    spec = RunSpec(
        kind=PRUNE_KIND,
        title=f"Prune runs that ended before {before}",
        unit="runs",
        owner=f"{ledger.owner}:prune",
        lease_seconds=3600.0,
        labels={
            "by": retention.by or ledger.owner,
            "reason": (retention.reason or "retention")[:256],
            "keep_failed": "yes" if retention.keep_failed else "no",
            "archive": str(retention.archive or "none")[-256:],
        },
    )
    return (await ledger.create(spec)).run_id


def _note(runs: list[Finished], archive: str) -> Noted:
    text = f"{len(runs)} runs, {runs[0].run_id} to {runs[-1].run_id}"
    if not archive:
        return Noted(message=f"{text}: removed without an archive")
    with Path(archive).open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return Noted(message=f"{text}: archived in {archive}, SHA-256 {digest}")


async def _archive(
    ledger: Ledger,
    log: SQLiteLog,
    tree: Tree,
    runs: list[Finished],
    retention: Retention,
    signer: Signer | None,
    number: int,
) -> str:
    if retention.archive is None:
        return ""
    folder = retention.archive
    folder.mkdir(parents=True, exist_ok=True)
    stamp = format_time(ledger.clock()).replace(":", "").replace("-", "").replace(".", "")
    path = folder / f"pruned-{log.epoch}-{stamp}-{number:04}.ndjson.gz"
    selection = Selection(runs=tuple(run.run_id for run in runs))
    with ExitStack() as files:
        out = files.enter_context(write_whole(path, packed=True))
        manifest = await export_proven(
            log, selection, out, now=ledger.clock(), signer=signer, tree=tree, folder=folder
        )
        # To be on the disk may take a while, and others use the loop.
        await to_thread.run_sync(files.pop_all().close)
    await to_thread.run_sync(_write_manifest, path, manifest)
    verdict = await to_thread.run_sync(verify_bundle, path)
    whole = verdict.whole == len(runs) and verdict.events == sum(run.version for run in runs)
    if not verdict.ok or not whole:
        why = verdict.findings[0].message if verdict.findings else "it does not hold the runs whole"
        raise BundleDamaged(f"The archive {path} does not verify, nothing of it was removed: {why}")
    return str(path)


def _write_manifest(events: Path, manifest: Manifest) -> None:
    with write_whole(manifest_path(events)) as out:
        out.writelines(manifest.chunks())


async def _strip(log: SQLiteLog, run: Finished) -> None:
    position = run.last
    while position:
        position = await log.on_writer(partial(sqlite_prune.strip, run=run, position=position, limit=_EVENTS))
        # Whoever waits to append goes first.
        await anyio.lowlevel.checkpoint()


async def _give_back(log: SQLiteLog) -> int:
    given = 0
    while free := await log.on_reader(sqlite_prune.free_pages):
        await log.on_writer(partial(sqlite_prune.give_back, pages=_PAGES), exclusive=True)
        left = await log.on_reader(sqlite_prune.free_pages)
        if left >= free:
            break
        given += free - left
        await anyio.lowlevel.checkpoint()
    return given
