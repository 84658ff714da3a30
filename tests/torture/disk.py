"""Faults of the file and its disk."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

from progress_ledger.ledger.sqlite.cut import why_unsound

from .faults import Fault
from .model import Broken
from .world import World


async def no_room(world: World) -> None:
    """The server may write no file beyond a size just above what it has: appends fail until that is over."""
    wal = world.db.with_name(world.db.name + "-wal")
    size = wal.stat().st_size if wal.exists() else 0
    soft, hard = resource.prlimit(world.server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(world.server.pid, resource.RLIMIT_FSIZE, (max(4096, size - 40_000), hard))
    try:
        await asyncio.sleep(world.dice.uniform(0.5, 2.5))
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(world.server.pid, resource.RLIMIT_FSIZE, (soft, hard))


async def no_descriptors(world: World) -> None:
    """The server may open nothing more: connections wait or are closed, until that is over."""
    soft, hard = resource.prlimit(world.server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(world.server.pid, resource.RLIMIT_NOFILE, (world.server.descriptors(), hard))
    try:
        world.proxy.cut_now()
        await asyncio.sleep(world.dice.uniform(0.5, 2.0))
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(world.server.pid, resource.RLIMIT_NOFILE, (soft, hard))


async def failing(world: World) -> None:
    """The disk under the server fails: writing, syncing, reading or cutting, always or now and then."""
    plan = world.folder / "plan"
    if not plan.exists():
        return
    kinds = world.dice.choice((1, 2, 4, 8, 1 + 2, 1 + 2 + 4 + 8))
    try:
        with plan.open("r+b") as file:
            file.write(bytes((kinds, world.dice.choice((40, 255)))))
        await asyncio.sleep(world.dice.uniform(0.5, 2.5))
    finally:
        with plan.open("r+b") as file:
            file.write(bytes(2))


async def full_disk(world: World) -> None:
    """Where the file is on a small disk of its own, something else takes all the room."""
    ballast = world.folder / "ballast"
    if not os.path.ismount(world.folder):
        return
    free = shutil.disk_usage(world.folder).free
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(4096, free - world.dice.randrange(0, 300_000)))
    try:
        await asyncio.sleep(world.dice.uniform(0.5, 2.5))
    finally:
        ballast.unlink()


async def read_only(world: World) -> None:
    """The file is made read-only: a server that is started on it says so in a sentence and ends."""
    await world.server.kill()
    for local in world.locals:
        await local.kill()
    world.db.chmod(0o444)
    try:
        said = len(world.server.errors())
        line = await world.server.try_start(humble=True)
        status = await world.server.gone() if not line else None
        told = world.server.errors()[said:].strip()
        if line or not status or "\n" in told or "cannot be" not in told:
            raise Broken(f"on a read-only file: {line!r}, status {status}, {told!r}")
    finally:
        world.db.chmod(0o644)
    await world.server.start()
    for local in world.locals:
        await local.start(world.dice.randrange(2**30))


async def wal_gone(world: World) -> None:
    """Everybody is killed, and somebody deletes or cuts the write-ahead log: no log survives that whole.

    What remains must be a beginning of what was, and every reader must be told that it is another log. Where
    that cannot be, since a part of what is gone was in the file already, the start says so in a sentence and
    changes nothing: with the log put back it goes on.
    """
    await world.quiet()
    await world.server.kill()
    before = world.folder / "before.db"
    _copy(world.db, before)
    world.model.read(before)
    kept = world.folder / "kept.db"
    _copy(world.db, kept)
    _damage(world, world.db.with_name(world.db.name + "-wal"))
    if not await _begins_again(world):
        _copy(kept, world.db)
        world.tally["told that the rest of a cut log is none"] += 1
        await world.server.start()
    for copy in (before, kept):
        _remove(copy)
    await world.loud()


async def _begins_again(world: World) -> bool:
    """Start on the file as it is. False: it was refused, and rightly so."""
    left = _sound_to(world.db)
    if left is None:
        said = len(world.server.errors())
        line = await world.server.try_start()
        told = world.server.errors()[said:].strip()
        if line or "\n" in told or "cannot be used" not in told:
            raise Broken(f"on a file that is no log any more the start said {line!r}, {told!r}")
        await world.server.gone()
        return False
    epochs = len(world.model.epochs)
    gone = world.model.cut(left)
    for reader in world.readers:
        reader.forget()
    world.retired.clear()
    await world.server.start()
    world.model.read(world.db)
    if gone and len(world.model.epochs) == epochs:
        raise Broken(f"{gone} events are gone, and the log keeps its epoch: readers cannot know")
    return True


def _sound_to(db: Path) -> int | None:
    """How far the log in a file goes, or None when what is there is none any more."""
    try:
        with closing(sqlite3.connect(db)) as file:
            # The very beginning may have been in the write-ahead log, too.
            if not file.execute("SELECT 1 FROM sqlite_schema WHERE name = 'ledger'").fetchone():
                return 0
            left: int = file.execute("SELECT position FROM ledger").fetchone()[0]
            (last,) = file.execute("SELECT coalesce(max(position), 0) FROM event").fetchone()
            (said,) = file.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError:
        return None
    # What else may be of another moment is the product's word; that all is well is not.
    return left if last == left and said == "ok" and why_unsound(db) is None else None


def _copy(source: Path, target: Path) -> None:
    """The file and its write-ahead log, in the place of whatever is there."""
    _remove(target)
    for suffix in ("", "-wal"):
        if source.with_name(source.name + suffix).exists():
            shutil.copy(source.with_name(source.name + suffix), target.with_name(target.name + suffix))


def _remove(db: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        db.with_name(db.name + suffix).unlink(missing_ok=True)


def _damage(world: World, wal: Path) -> None:
    if not wal.exists():
        return
    if world.dice.random() < 0.5:
        wal.unlink()
        return
    size = wal.stat().st_size
    with wal.open("r+b") as file:
        file.truncate(world.dice.randrange(size + 1))


def failing_disk(folder: Path) -> dict[str, str]:
    """What makes calls of a server fail when :func:`failing` says so; nothing without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return {}
    library, plan = folder / "failing_disk.so", folder / "plan"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    plan.write_bytes(bytes(4096))
    return {"LD_PRELOAD": str(library), "TORTURE_DISK": str(plan)}


def mount_small(folder: Path) -> bool:
    """Make the folder a small disk of its own, where that is allowed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", "size=160m", "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Take it away again, with all that is in it."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


DISK: tuple[Fault, ...] = (no_room, no_descriptors, full_disk, failing, read_only, wal_gone)
