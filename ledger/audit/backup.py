"""Copy a ledger while it is written to, and take the copy into use later.

A copy is consistent (one moment of the log, whatever goes on), verified from its stored bytes before it gets
its name, and a log of its own: it has a new epoch, so that no client's cursor into the lost log is taken for
one into this. :func:`restore` gives the old epoch back only when it is proven that nothing is missing.
"""

import os
import secrets
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from ..errors import LedgerError, Unavailable
from ..sqlite.file import connect_reader, friendly, transaction
from ..sqlite.tree import hash_leaves, load_edge, read_leaves, store_edge
from ..sqlite.verify import FileReport, check_hashes, verify_file
from ..times import format_time
from .note import Checkpoint

__all__ = ("BackupReport", "CopyDamaged", "backup", "restore")

_PORTION = 8192


class CopyDamaged(LedgerError):
    """The copy does not verify; it was not put in place. ``report`` says what is wrong."""

    code = "copy_damaged"

    def __init__(self, path: Path, report: FileReport) -> None:
        first = report.findings[0]
        super().__init__(f"{path} does not verify: {first.message} Run verify on it for the whole list.")
        self.report = report


class BackupReport(Struct, kw_only=True):
    """A copy in its place: its ``epoch``, and the ``size`` and ``root`` (hexadecimal) up to which it is the
    log with the epoch ``copied_from``. ``proven`` is whether that log's end was shown to be all there."""

    path: str
    epoch: str
    copied_from: str
    size: int
    root: str
    proven: bool = False


def backup(source: Path, target: Path, *, now: float) -> BackupReport:
    """Copy the ledger at ``source`` to ``target``, which must not exist. Blocks; writers are not held up.

    Raises CopyDamaged, and what opening and writing files raises.
    """
    part = _fresh(target)
    try:
        with _copied(source, part) as copy:
            report = _become(copy, target, now=now)
        _verified(part)
        return _placed(part, target, report)
    finally:
        _remove(part)


def restore(
    copy: Path, target: Path, *, heads: tuple[Checkpoint, ...] = (), lost: Path | None = None, now: float
) -> BackupReport:
    """Put a backup into use at ``target``, which must not exist.

    It gets an epoch of its own, and clients begin again from a snapshot, unless it is shown that nothing
    came after it: by ``lost``, what is left of the old log's file, or by a checkpoint of the log's very end
    among ``heads``; then it goes on as the old log. Raises CopyDamaged and Unavailable.
    """
    part = _fresh(target)
    try:
        with _copied(copy, part) as placed:
            row = placed.execute(
                "SELECT epoch, position, root FROM lineage ORDER BY number DESC LIMIT 1"
            ).fetchone()
            if row is None:
                raise Unavailable(f"{copy} is no backup: it was not made by progress-ledger backup.")
            epoch, size, root = row
            (head,) = placed.execute("SELECT position FROM ledger").fetchone()
            proven = head == size and _is_end(epoch, size, root, heads, lost)
            # Each copy put into use is a log of its own: two of one backup go different ways.
            now_epoch = epoch if proven else secrets.token_hex(8)
            placed.execute("UPDATE ledger SET epoch = ?", (now_epoch,))
        _verified(part)
        report = BackupReport(
            path=str(target), epoch=now_epoch, copied_from=epoch, size=size, root=root.hex(), proven=proven
        )
        return _placed(part, target, report)
    finally:
        _remove(part)


@contextmanager
def _copied(source: Path, part: Path) -> Generator[sqlite3.Connection]:
    with (
        friendly(part),
        closing(connect_reader(source, busy_timeout=5)) as origin,
        closing(sqlite3.connect(part, isolation_level=None)) as copy,
    ):
        # In one step: one moment of the source. In several, a writer would make it begin again.
        origin.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE")
        yield copy


def _become(copy: sqlite3.Connection, target: Path, *, now: float) -> BackupReport:
    """Fold the rest of the log into the copy's tree, and make it a log of its own."""
    with transaction(copy):
        (head,) = copy.execute("SELECT position FROM ledger").fetchone()
        edge = load_edge(copy)
        while edge.size < head:
            leaves = read_leaves(copy, edge.size, _PORTION)
            grown, full = hash_leaves(edge, leaves)
            store_edge(copy, edge.size, grown, full)
            edge = grown
        (old,) = copy.execute("SELECT epoch FROM ledger").fetchone()
        fresh = secrets.token_hex(8)
        copy.execute(
            "INSERT INTO lineage (epoch, position, root, time) VALUES (?, ?, ?, ?)",
            (old, head, edge.root(), format_time(now)),
        )
        copy.execute("UPDATE ledger SET epoch = ?", (fresh,))
    return BackupReport(path=str(target), epoch=fresh, copied_from=old, size=head, root=edge.root().hex())


def _is_end(epoch: str, size: int, root: bytes, heads: tuple[Checkpoint, ...], lost: Path | None) -> bool:
    if lost is not None:
        with closing(connect_reader(lost, busy_timeout=5)) as old:
            told, position = old.execute("SELECT epoch, position FROM ledger").fetchone()
        found = check_hashes(lost, [size])
        return bool(told == epoch and position == size == found.size and found.root == root)
    return (
        any(one.size == size and one.root == root for one in heads) and max(one.size for one in heads) == size
    )


def _fresh(target: Path) -> Path:
    if target.exists():
        raise Unavailable(
            f"{target} exists; a ledger is never overwritten. Name another file or move it away."
        )
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def _verified(part: Path) -> None:
    report = verify_file(part)
    if not report.ok:
        raise CopyDamaged(part, report)


def _placed(part: Path, target: Path, report: BackupReport) -> BackupReport:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    # A link refuses to take another file's place, a rename would not.
    os.link(part, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return report


def _remove(part: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm", "-lock"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)
