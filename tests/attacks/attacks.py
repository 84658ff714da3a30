"""What somebody who owns the file, or what is handed out of it, can do. Each attack changes a copy."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from progress_ledger.ledger.audit.bundle import parse_manifest
from progress_ledger.ledger.audit.export import export_proven, manifest_path
from progress_ledger.ledger.audit.note import Signer, new_signer
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.export import Selection
from progress_ledger.projections.projector import Projector
from tests.ledger.histories import BEGAN, fill, ledger_at, tamper, ticking


class Victim(NamedTuple):
    """A ledger with its past: an old copy, an export, the note of an early and of the last checkpoint."""

    db: Path
    old: Path
    other: Path
    bundle: Path
    early: str
    last: str
    signer: Signer


async def victim(folder: Path) -> Victim:
    """Build it once; attacks work on copies."""
    db = folder / "ledger.db"
    clock = ticking()
    async with ledger_at(db, clock=clock) as (ledger, tree), Projector.open(ledger):
        signer = new_signer(tree.origin)
        await fill(ledger, runs=4, ticks=70)
        early = (await tree.checkpoint(signer, now=BEGAN)).note
    old = folder / "old.db"
    shutil.copy(db, old)
    other = folder / "other.db"
    shutil.copy(db, other)
    for path, word in ((db, "later"), (other, "otherwise")):
        async with ledger_at(path, clock=clock) as (ledger, tree), Projector.open(ledger):
            await fill(ledger, runs=3, ticks=30, prefix=word)
            await tree.checkpoint(signer, now=BEGAN + 1)
    bundle = folder / "run.ndjson"
    async with ledger_at(db, clock=clock) as (ledger, tree):
        last = (await tree.checkpoint(signer, now=BEGAN + 2)).note
        assert isinstance(ledger.log, SQLiteLog)
        with bundle.open("wb") as out:
            manifest = await export_proven(ledger.log, Selection(run="run-2"), out, now=BEGAN, signer=signer)
        manifest_path(bundle).write_bytes(manifest.encode())
    return Victim(db, old, other, bundle, early, last, signer)


# ── on the file ─────────────────────────────────────────────────────────────────────────────────────────


def _replace(old: str, new: str, position: int = 40) -> str:
    return f"UPDATE event SET body = replace(body, '{old}', '{new}') WHERE position = {position}"


def _sql(*statements: str) -> Callable[[Victim, Path], None]:
    return lambda _, path: tamper(path, *statements)


def _swap(_: Victim, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        bodies = [
            file.execute("SELECT body FROM event WHERE position = ?", (at,)).fetchone()[0] for at in (40, 44)
        ]
        for at, body in zip((44, 40), bodies, strict=True):
            file.execute("UPDATE event SET body = ? WHERE position = ?", (body, at))


def _delete_run(_: Victim, path: Path) -> None:
    number = "(SELECT number FROM run_entry WHERE run_id = 'run-1')"
    tamper(
        path,
        f"DELETE FROM event WHERE run = {number}",
        f"DELETE FROM head WHERE run = {number}",
        "DELETE FROM document WHERE key = 'run-1'",
        "DELETE FROM run_entry WHERE run_id = 'run-1'",
    )


def _insert(_: Victim, path: Path) -> None:
    tamper(
        path,
        "UPDATE event SET position = -position WHERE position > 40",
        "UPDATE event SET position = 1 - position WHERE position < 0",
        "INSERT INTO event SELECT 41, run, previous, body FROM event WHERE position = 40",
        "UPDATE ledger SET position = position + 1",
    )


def _tidy_cut(path: Path, end: int) -> None:
    """Take everything after ``end`` away, and every trace of it."""
    tamper(
        path,
        "DROP TRIGGER tree_checkpoint_is_kept",
        f"DELETE FROM event WHERE position > {end}",
        f"DELETE FROM head WHERE run IN (SELECT number FROM run_entry WHERE first > {end})",
        f"DELETE FROM run_entry WHERE first > {end}",
        "DELETE FROM document",
        "DELETE FROM checkpoint",
        f"DELETE FROM tree_checkpoint WHERE size > {end}",
        f"UPDATE ledger SET position = {end}",
    )
    _refold(path)


def _cut_tidily(one: Victim, path: Path) -> None:
    _tidy_cut(path, int(one.early.split("\n")[1]))


def _refold(path: Path, signer: Signer | None = None) -> None:
    tamper(path, "DELETE FROM tile", "UPDATE tree SET size = 0, edge = x''")

    async def fold() -> None:
        async with ledger_at(path) as (_, tree):
            await tree.catch_up()
            if signer is not None:
                await tree.checkpoint(signer, now=BEGAN)

    anyio.run(fold)


def _rewrite(path: Path, signer: Signer | None = None) -> None:
    tamper(
        path,
        "DROP TRIGGER tree_checkpoint_is_kept",
        "DELETE FROM tree_checkpoint",
        _replace('"passed":10', '"passed":11', 41),
        "DELETE FROM document",
        "DELETE FROM checkpoint",
    )
    _refold(path, signer)


def _new_key(one: Victim, path: Path) -> None:
    _rewrite(path, new_signer(one.signer.name))


def _old_file(one: Victim, path: Path) -> None:
    shutil.copy(one.old, path)


def _split_view(one: Victim, path: Path) -> None:
    shutil.copy(one.other, path)


def _append(_: Victim, path: Path) -> None:
    async def lie() -> None:
        async with ledger_at(path, clock=ticking(BEGAN + 10_000)) as (ledger, tree):
            await ledger.create(RunSpec(kind="bulk_qa"), run_id="invented")
            await ledger.append("invented", [Ticked(done=5), Completed()])
            await tree.catch_up()

    anyio.run(lie)


def _edit_state(_: Victim, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        key, value = file.execute("SELECT key, value FROM document WHERE space = 'run.1' LIMIT 1").fetchone()
        state = msgspec.msgpack.decode(value)
        changed = {**state, "message": "all is well"} if isinstance(state, dict) else [*state[:-1], 7]
        file.execute(
            "UPDATE document SET value = ? WHERE space = 'run.1' AND key = ?",
            (msgspec.msgpack.encode(changed), key),
        )


_TILE = (
    "DROP TRIGGER tile_stays",
    "UPDATE tile SET hashes = CAST(x'00' || substr(hashes, 2) AS BLOB) WHERE id = 0",
)
_SIZE = (
    "DROP TRIGGER tree_checkpoint_stays",
    "UPDATE tree_checkpoint SET note = replace(note, char(10), '0' || char(10))",
)
_REMOVED = (
    "UPDATE run_entry SET pruned = '' WHERE run_id = 'run-1'",
    "UPDATE event SET body = NULL WHERE run = (SELECT number FROM run_entry WHERE run_id = 'run-1')",
)

# attack, what it does, and whether it is found: with nothing, with a kept checkpoint, with that and the key
ON_FILE: tuple[tuple[str, Callable[[Victim, Path], None], tuple[bool, bool, bool]], ...] = (
    ("a value in an event's data is changed", _sql(_replace('"done":', '"done":1')), (True, True, True)),
    ("an event is given to another run", _sql(_replace('"run-', '"rum-')), (True, True, True)),
    ("an event's version is changed", _sql(_replace('"version":', '"version":1')), (True, True, True)),
    ("an event's time is changed", _sql(_replace('"time":"2027', '"time":"2026')), (True, True, True)),
    ("an event's type is changed", _sql(_replace('"ticked"', '"noticed"')), (True, True, True)),
    ("a space is added inside an event", _sql(_replace('"data":', '"data": ')), (True, True, True)),
    ("an event is deleted", _sql("DELETE FROM event WHERE position = 40"), (True, True, True)),
    ("a whole run is deleted, its directory entry too", _delete_run, (True, True, True)),
    ("two events are swapped", _swap, (True, True, True)),
    ("an event is inserted in the middle", _insert, (True, True, True)),
    ("the newest events are cut off", _sql("DELETE FROM event WHERE position > 350"), (True, True, True)),
    ("a run's payloads are removed and called pruned", _sql(*_REMOVED), (True, True, True)),
    (
        "the directory says another outcome",
        _sql("UPDATE run_entry SET status = 'completed' WHERE run_id = 'run-1'"),
        (True, True, True),
    ),
    ("a stored snapshot is edited", _edit_state, (True, True, True)),
    ("a tile of the tree is edited", _sql(*_TILE), (True, True, True)),
    ("a stored checkpoint is edited", _sql(*_SIZE), (True, True, True)),
    ("the newest events are cut off and every trace with them", _cut_tidily, (False, True, True)),
    (
        "an event is changed and every hash and checkpoint made anew",
        lambda _, path: _rewrite(path),
        (False, True, True),
    ),
    ("the same, and signed with a new key of the same name", _new_key, (False, True, True)),
    ("the file is replaced by an older copy of itself", _old_file, (False, True, True)),
    ("two people are shown two different histories", _split_view, (False, True, True)),
    ("a false event is appended by somebody who may append", _append, (False, False, False)),
)


# ── on what was handed out ──────────────────────────────────────────────────────────────────────────────


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Victim, Path], None]:
    def attack(_: Victim, path: Path) -> None:
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return attack


def _forge_manifest(**fields: object) -> Callable[[Victim, Path], None]:
    def attack(_: Victim, path: Path) -> None:
        manifest = parse_manifest(manifest_path(path).read_bytes())
        for name, value in fields.items():
            setattr(manifest, name, value)
        manifest_path(path).write_bytes(manifest.encode())

    return attack


def _foreign_bundle(one: Victim, path: Path, *, signer: Signer | None = None) -> None:
    """A bundle that is right in itself, out of a rewritten log."""
    forged = path.with_suffix(".db")
    shutil.copy(one.db, forged)
    _rewrite(forged)

    async def export() -> None:
        async with ledger_at(forged) as (ledger, _):
            assert isinstance(ledger.log, SQLiteLog)
            with path.open("wb") as out:
                manifest = await export_proven(
                    ledger.log, Selection(run="run-2"), out, now=BEGAN, signer=signer
                )
            manifest_path(path).write_bytes(manifest.encode())

    anyio.run(export)


_ZERO = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

ON_BUNDLE: tuple[tuple[str, Callable[[Victim, Path], None], tuple[bool, bool, bool]], ...] = (
    (
        "an event of a bundle is changed",
        _lines(lambda lines: [lines[0], lines[1].replace(b'"done":1', b'"done":2'), *lines[2:]]),
        (True, True, True),
    ),
    ("an event of a bundle is left out", _lines(lambda lines: [*lines[:4], *lines[5:]]), (True, True, True)),
    ("the end of a run is left out of its bundle", _lines(lambda lines: lines[:-1]), (True, True, True)),
    (
        "two events of a bundle are swapped",
        _lines(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]),
        (True, True, True),
    ),
    ("a bundle's proof is forged", _forge_manifest(hashes=[_ZERO] * 40), (True, True, True)),
    ("a bundle's root is forged", _forge_manifest(root=_ZERO), (True, True, True)),
    ("a bundle comes out of a rewritten log", _foreign_bundle, (False, True, True)),
    (
        "the same, signed with a new key of the same name",
        lambda one, path: _foreign_bundle(one, path, signer=new_signer(one.signer.name)),
        (False, True, True),
    ),
)
