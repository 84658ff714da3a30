"""Hand events out of a ledger: the checkpoint they are proven against, the file, the manifest beside it."""

import gzip
import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, cast

from anyio import to_thread

from ..errors import Unavailable
from ..sqlite import SQLiteLog
from ..sqlite.export import Selection, export_bundle, read_selection
from ..sqlite.file import connect_reader
from ..times import format_time
from .bundle import Manifest
from .formats import cloud_events, csv_rows, write_parquet
from .note import Checkpoint, Signer
from .tree import Tree

__all__ = ("Format", "export_events", "export_proven", "manifest_path", "write_whole")

Format: TypeAlias = Literal["cloudevents", "csv", "parquet"]


def manifest_path(events: Path) -> Path:
    """Where the manifest of an events file lies."""
    return events.with_name(events.name + ".manifest.json")


@contextmanager
def write_whole(path: Path, *, packed: bool = False) -> Generator[BinaryIO]:
    """A file that appears under its name only when it was written to its end and is on the disk."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as raw:
            if packed:
                with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) as out:
                    yield cast("BinaryIO", out)
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


async def export_proven(
    log: SQLiteLog,
    selection: Selection,
    out: BinaryIO,
    *,
    now: float,
    signer: Signer | None = None,
    tree: Tree | None = None,
    folder: Path | None = None,
) -> Manifest:
    """Write the selected events and return the manifest that proves them against a checkpoint.

    Constant memory: what grows with the gaps between the events waits in temporary files, in ``folder`` or
    where the system keeps such files, and :meth:`.Manifest.chunks` reads it from there.

    The checkpoint is of the whole log as it stands, signed by ``signer``. Without one, a run that is over is
    proven against the newest checkpoint that was signed since, where there is one.
    Raises RunNotFound, Pruned or Unavailable.
    """
    tree = tree or Tree(log)
    note = await _checkpoint(log, tree, selection, now, signer)

    def write() -> Manifest:
        return export_bundle(
            log.path,
            out,
            selection,
            checkpoint=note,
            public_key=signer.public.text if signer else None,
            created=format_time(now),
            folder=folder,
        )

    return await to_thread.run_sync(write)


async def _checkpoint(
    log: SQLiteLog, tree: Tree, selection: Selection, now: float, signer: Signer | None
) -> str:
    if signer is None and selection.run is not None:
        newest, run = await tree.newest_checkpoint(signed=True), await log.run(selection.run)
        if newest is not None and run is not None and not run.active and newest.size >= run.last:
            return await tree.note(newest)
    try:
        return await tree.note(await tree.checkpoint(signer, now=now))
    except Unavailable:
        # A file that cannot be written is proven as far as its tree goes.
        size = await tree.size()
        head = await tree.head(size=size)
        return Checkpoint(tree.origin, head.size, head.root).text


async def export_events(log: SQLiteLog, selection: Selection, out: BinaryIO, form: Format) -> int:
    """Write the selected events in another form; how many there were.

    Raises RunNotFound, Pruned or ParquetExtraMissing.
    """
    end = await log.head()
    epoch = log.epoch

    def write() -> int:
        with closing(connect_reader(log.path, busy_timeout=5)) as connection:
            pages = read_selection(connection, selection, end=end)
            if form == "parquet":
                return write_parquet(pages, out)
            count = 0
            for rows in pages:
                out.write(
                    cloud_events(epoch, rows) if form == "cloudevents" else csv_rows(rows, header=not count)
                )
                count += len(rows)
            return count

    return await to_thread.run_sync(write)
