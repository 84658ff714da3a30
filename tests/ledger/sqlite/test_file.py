"""Files that are not ours, newer, broken, locked, full, not to be written: a clear error, nothing lost."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from progress_ledger.ledger.door import draft_run
from progress_ledger.ledger.errors import (
    DiskFull,
    LedgerError,
    Locked,
    NewerLedger,
    NotALedger,
    ReadOnly,
    Unavailable,
)
from progress_ledger.ledger.events import RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Append
from progress_ledger.ledger.sqlite import SQLiteLog
from progress_ledger.ledger.sqlite.file import (
    APPLICATION_ID,
    WriteLock,
    connect_reader,
    connect_writer,
    friendly,
    migrations,
    queries,
    schema_version,
    transaction,
)
from tests import tree

pytestmark = pytest.mark.anyio


def _write(path: Path) -> sqlite3.Connection:
    return connect_writer(path, durability="power", busy_timeout=0.1, now=1.0)


def _begin(path: Path) -> None:
    _write(path).close()


# ── the schema ──────────────────────────────────────────────────────────────────────────────────────────


def test_migrations_are_numbered_without_a_hole() -> None:
    assert [number for number, _ in migrations()] == list(range(1, schema_version() + 1))


def test_every_named_query_is_one_statement() -> None:
    for name, text in queries().items():
        assert sqlite3.complete_statement(text), name
        assert text.count(";") == 1, name


@pytest.mark.parametrize("name", ["file:a.db", "file:a.db?mode=memory", "a b%20#?.db", "//{folder}/a.db"])
def test_a_name_is_a_name_and_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name.format(folder=str(tmp_path).lstrip("/")))
    _begin(path)
    assert path.exists()
    connect_reader(path, busy_timeout=0.1).close()


def test_a_new_file_is_ours_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    connection = _write(path)
    pragma = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "journal_mode", "synchronous", "wal_autocheckpoint")
    }
    connection.close()
    assert pragma == {
        "application_id": APPLICATION_ID,
        "user_version": schema_version(),
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 0,
    }


def test_weaker_durability_is_had_by_name(tmp_path: Path) -> None:
    connection = connect_writer(tmp_path / "log.db", durability="process", busy_timeout=1, now=1.0)
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 1
    connection.close()


def test_a_file_of_the_first_schema_is_lifted_and_keeps_its_events(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(
        Path(__file__).parents[1].joinpath("golden").joinpath("schema-1.sql").read_text("utf-8")
    )
    before = old.execute("SELECT position, run, previous, body FROM event ORDER BY position").fetchall()
    epoch = old.execute("SELECT epoch FROM ledger").fetchone()
    old.close()
    connection = _write(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (schema_version(),)
    assert connection.execute("SELECT position, run, previous, body FROM event").fetchall() == before
    assert connection.execute("SELECT epoch FROM ledger").fetchone() == epoch
    assert connection.execute("SELECT run_id, version, status FROM run").fetchall() == [
        ("qa-7", 3, "completed")
    ]
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    _begin(path)
    steps = (*migrations(), (schema_version() + 1, "CREATE TABLE fine (a);\nCREATE TABLE event (b);"))
    monkeypatch.setattr("progress_ledger.ledger.sqlite.file.migrations", lambda: steps)
    with pytest.raises(Unavailable):
        _write(path)
    monkeypatch.undo()
    connection = _write(path)
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'fine'").fetchone() == (0,)
    connection.close()


# ── files that are not a ledger's ───────────────────────────────────────────────────────────────────────


async def _refused(path: Path, error: type[LedgerError], *, read_only: bool = False) -> str:
    before = set(threading.enumerate())
    with pytest.raises(error) as caught:
        async with Ledger.open(path, read_only=read_only, busy_timeout=0.1):
            raise AssertionError("it opened")
    assert type(caught.value) is error
    assert str(path) in str(caught.value)
    # A worker of anyio's own may have come; it is kept for the next one.
    left = [thread for thread in set(threading.enumerate()) - before if "AnyIO" not in thread.name]
    assert not left, f"a connection's thread is left behind: {left}"
    return str(caught.value)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"Dear diary, " * 500)
    await _refused(path, NotALedger, read_only=read_only)
    assert path.read_bytes() == b"Dear diary, " * 500
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("statement", ["CREATE TABLE theirs (a)", "PRAGMA application_id = 77"])
async def test_another_programs_database_is_refused_and_left_alone(
    tmp_path: Path, read_only: bool, statement: str
) -> None:
    path = tmp_path / "theirs.db"
    theirs = sqlite3.connect(path)
    theirs.execute(statement)
    theirs.execute("PRAGMA user_version = 3")
    theirs.close()
    before = path.read_bytes()
    await _refused(path, NotALedger, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_newer_releases_file_is_refused_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "log.db"
    _begin(path)
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 4711")
    newer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    newer.close()
    before = path.read_bytes()
    assert "4711" in await _refused(path, NewerLedger, read_only=read_only)
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", [50, 4096, 8192])
async def test_a_file_that_was_cut_off_is_an_error_and_not_a_crash(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log.db"
    _begin(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Unavailable):
        async with Ledger.open(path) as ledger:
            await ledger.create(RunSpec(kind="k"))


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    await _refused(tmp_path / "nowhere" / "log.db", ReadOnly)
    await _refused(tmp_path / "nowhere" / "log.db", Unavailable, read_only=True)


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    await _refused(tmp_path, ReadOnly)


async def test_reading_only_neither_creates_a_file_nor_writes_one(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await _refused(path, Unavailable, read_only=True)
    assert not path.exists()
    path.touch()
    await _refused(path, NotALedger, read_only=True)
    path.unlink()
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        async with Ledger.open(path, read_only=True) as reading:
            assert await reading.log.run("r") is not None
            with pytest.raises(ReadOnly):
                await reading.append("r", [Ticked(done=1)])
            with pytest.raises(ReadOnly):
                await reading.create(RunSpec(kind="k"))


async def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.touch()
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"))


@pytest.mark.parametrize("name", ["with space.db", "100%?#.db", "ünïcode.db", "a'b\".db"])
async def test_any_name_of_a_file_will_do(tmp_path: Path, name: str) -> None:
    async with Ledger.open(tmp_path / name) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        assert await ledger.log.run("r") is not None
    assert (tmp_path / name).is_file()


# ── files that may not be written ───────────────────────────────────────────────────────────────────────


@contextmanager
def _immutable(path: Path) -> Iterator[None]:
    """Not to be written, not even by root; for others the rights are taken away."""
    if os.geteuid() != 0:
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222)
        try:
            yield
        finally:
            path.chmod(mode)
        return
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("running as root, on a file system where chattr +i does not work")
    try:
        yield
    finally:
        subprocess.run([chattr, "-i", path], check=True)


async def test_a_file_that_may_not_be_written_is_refused_at_once_and_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
    with _immutable(path):
        await _refused(path, ReadOnly)
        async with Ledger.open(path, read_only=True) as ledger:
            assert await ledger.log.run("r") is not None
    async with Ledger.open(path) as ledger:
        await ledger.append("r", [Ticked(done=1)])


async def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with _immutable(folder):
        await _refused(folder / "log.db", ReadOnly)
    async with Ledger.open(folder / "log.db") as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
    with _immutable(folder):
        await _refused(folder / "log.db", ReadOnly)


# ── a full disk ─────────────────────────────────────────────────────────────────────────────────────────

# A limit on the size of files takes a signal handler of the whole process: hence one of its own.
FULL = """
import asyncio, resource, signal, sys
from progress_ledger.ledger.errors import DiskFull, Unavailable
from progress_ledger.ledger.events import Noted, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger

async def main(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        accepted, refused = 1, 0
        while not refused:
            try:
                await ledger.append("r", [Noted(message="x" * 50_000)])
                accepted += 1
            except Unavailable as error:
                refused += 1
                print(error.code, error)
        for _ in range(3):
            try:
                await ledger.append("r", [Noted(message="x" * 50_000)])
            except Unavailable:
                refused += 1
        print(refused, (await ledger.log.run("r")).version == accepted)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print((await ledger.append("r", [Ticked(done=1)])).receipts[0].version == accepted + 1)

asyncio.run(main(sys.argv[1]))
"""


def test_where_a_file_may_not_grow_nothing_is_lost_and_the_next_request_works(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "log.db")],
        cwd=tree.ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, *rest = done.stdout.splitlines()
    assert first.startswith("disk_full "), first
    assert rest == ["4 True", "True"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small disk takes root")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=600k", "none", disk], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


async def test_a_full_disk_is_said_and_once_there_is_room_it_goes_on(small_disk: Path) -> None:
    async with Ledger.open(small_disk / "log.db") as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        (small_disk / "ballast").write_bytes(b"x" * 100_000)
        accepted = 1

        async def fill() -> None:
            nonlocal accepted
            for _ in range(1000):
                await ledger.append("r", [Ticked(done=1, message="x" * 20_000)])
                accepted += 1

        for _ in range(2):
            with pytest.raises(DiskFull, match="full"):
                await fill()
        head = await ledger.log.run("r")
        assert head is not None
        assert head.version == accepted > 1
        (small_disk / "ballast").unlink()
        more = await ledger.append("r", [Ticked(done=2)])
        assert more.receipts[0].version == accepted + 1
        assert len(await ledger.log.read_run("r", limit=10_000)) == accepted + 1


def test_no_room_for_a_file_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskFull), friendly(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ReadOnly), friendly(tmp_path):
        raise OSError(errno.EROFS, "Read-only file system")


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────────

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
print("free", flush=True)
"""


@contextmanager
def _held_by_another_process(path: Path, program: str = HOLD) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=tree.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        process.communicate("\n", timeout=30)


async def test_a_file_locked_past_the_timeout_is_said_and_the_next_request_works(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with Ledger.open(path, busy_timeout=0.1) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        with _held_by_another_process(path):
            with pytest.raises(Locked, match="timeout"):
                await ledger.append("r", [Ticked(done=1)])
            # reading goes on
            assert (await ledger.log.run("r")) is not None
        accepted = await ledger.append("r", [Ticked(done=1)])
        assert accepted.receipts[0].version == 2


HOLD_OURS = """
import sys
from pathlib import Path
from progress_ledger.ledger.sqlite.file import WriteLock
with WriteLock(Path(sys.argv[1]), timeout=5).held():
    print("held", flush=True)
    sys.stdin.readline()
"""


async def test_a_process_that_stands_still_with_the_lock_is_not_waited_for_without_end(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with Ledger.open(path, busy_timeout=0.1) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        with _held_by_another_process(path, HOLD_OURS):
            with pytest.raises(Locked):
                await ledger.append("r", [Ticked(done=1)])
            with pytest.raises(Locked):
                async with Ledger.open(path, busy_timeout=0.1):
                    raise AssertionError("it opened")
        assert (await ledger.append("r", [Ticked(done=1)])).receipts[0].version == 2


async def test_the_lock_is_handed_on_as_soon_as_it_is_free(tmp_path: Path) -> None:
    lock, other = (WriteLock(tmp_path / "log.db", timeout=30) for _ in range(2))
    order: list[str] = []

    def second() -> None:
        with other.held():
            order.append("second")

    with lock.held():
        thread = threading.Thread(target=second)
        thread.start()
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]
    with lock.held():
        pass
    lock.close()
    lock.close()
    other.close()


def test_a_transaction_is_rolled_back_on_any_error(tmp_path: Path) -> None:
    connection = _write(tmp_path / "log.db")

    def interrupted() -> None:
        with transaction(connection):
            connection.execute("UPDATE ledger SET position = 77")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not connection.in_transaction
    assert connection.execute("SELECT position FROM ledger").fetchone() == (0,)
    connection.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    _begin(path)
    connection = connect_reader(path, busy_timeout=1)
    with pytest.raises(ReadOnly), friendly(path):
        connection.execute("UPDATE ledger SET position = 77")
    connection.close()


def test_a_network_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.read_text

    def mounts(path: Path, *arguments: str) -> str:
        if str(path) == "/proc/self/mounts":
            return f"host:/export {tmp_path} nfs4 rw 0 0\n/dev/vda / ext4 rw 0 0\n"
        return original(path, *arguments)

    monkeypatch.setattr(Path, "read_text", mounts)
    with pytest.raises(Unavailable, match="network disk"):
        _write(tmp_path / "log.db")
    assert not (tmp_path / "log.db").exists()


async def test_the_write_ahead_log_is_folded_into_the_file_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SQLiteLog.open(path, now=1.0) as log:
        for number in range(60):
            spec = RunSpec(kind="k", labels={f"l{each}": "x" * 200 for each in range(64)})
            requests = [
                Append(run_id=f"r{number}-{each}", drafts=[draft_run(spec)], create=True)
                for each in range(20)
            ]
            await log.commit(requests, now=1.0)
        size = path.with_name("log.db-wal").stat().st_size
        assert size < 20 * 1024 * 1024
        assert path.stat().st_size > size


async def _append_ticks(path: Path, count: int) -> str:
    async with Ledger.open(path) as ledger:
        await ledger.create(RunSpec(kind="k"), run_id="r")
        for done in range(count):
            await ledger.append("r", [Ticked(done=done)])
        # As after kill -9: what is in the write-ahead log is in no other place.
        for suffix in ("", "-wal", "-lock"):
            shutil.copy(f"{path}{suffix}", f"{path}.killed{suffix}")
        return ledger.epoch


async def test_a_log_whose_wal_was_removed_goes_on_under_a_new_epoch(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with Ledger.open(path) as ledger:
        kept = ledger.epoch
    assert await _append_ticks(path, 3) == kept
    killed = tmp_path / "p.db.killed"
    (tmp_path / "p.db.killed-wal").unlink()
    async with Ledger.open(killed) as ledger:
        assert await ledger.log.head() == 0
        renewed = ledger.epoch
        assert renewed != kept
    async with Ledger.open(killed) as ledger:
        assert ledger.epoch == renewed


async def test_a_log_that_was_only_killed_keeps_its_epoch(tmp_path: Path) -> None:
    kept = await _append_ticks(tmp_path / "p.db", 3)
    async with Ledger.open(tmp_path / "p.db.killed") as ledger:
        assert ledger.epoch == kept
        assert await ledger.log.head() == 4


async def test_an_old_copy_put_in_the_place_of_a_log_goes_on_under_a_new_epoch(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with Ledger.open(path) as ledger:
        kept = ledger.epoch
    shutil.copy(path, tmp_path / "old.db")
    await _append_ticks(path, 3)
    shutil.copy(tmp_path / "old.db", path)
    async with Ledger.open(path) as ledger:
        assert ledger.epoch != kept


def test_a_folder_is_no_ledger_and_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ReadOnly, match="is a folder"):
        connect_reader(tmp_path, busy_timeout=1.0)
    with pytest.raises(ReadOnly, match="is a folder"):
        connect_writer(tmp_path, durability="power", busy_timeout=1.0, now=0.0)
