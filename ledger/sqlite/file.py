"""One ledger file: how it is opened, recognised, migrated, locked and checkpointed. All of it is plain
``sqlite3`` and blocks; the engine calls it on its connections' threads.
"""

import errno
import os
import re
import secrets
import sqlite3
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Literal, TypeAlias
from urllib.parse import quote

from ..errors import DiskFull, LedgerError, Locked, NewerLedger, NotALedger, ReadOnly, Unavailable
from ..times import format_time

if sys.platform != "win32":
    import fcntl

__all__ = (
    "APPLICATION_ID",
    "Durability",
    "WriteLock",
    "connect_reader",
    "connect_writer",
    "friendly",
    "locked_file",
    "migrations",
    "queries",
    "schema_version",
    "seems_cut",
    "transaction",
)

APPLICATION_ID = 0x50524C47
"""``PRLG``: what makes a SQLite file a ledger, in its header."""

Durability: TypeAlias = Literal["power", "process"]

_LOG_KEPT = 64 * 1024 * 1024
_SYNCHRONOUS = {"power": "FULL", "process": "NORMAL"}
_NETWORK = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs", "ceph", "glusterfs"))


@cache
def queries() -> dict[str, str]:
    """The named statements of ``sql/queries.sql`` and ``sql/audit.sql``."""
    folder = Path(__file__).with_name("sql")
    text = "\n".join(folder.joinpath(name).read_text("utf-8") for name in ("queries.sql", "audit.sql"))
    return {
        name: statement.strip()
        for name, statement in re.findall(r"^-- name: (\w+)\n(.*?;)$", text, re.MULTILINE | re.DOTALL)
    }


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """The numbered steps of the schema, oldest first."""
    folder = Path(__file__).with_name("sql")
    steps = [
        (int(item.name[:4]), item.read_text("utf-8"))
        for item in folder.iterdir()
        if re.fullmatch(r"\d{4}_\w+\.sql", item.name)
    ]
    return tuple(sorted(steps))


def schema_version() -> int:
    """The schema this release writes."""
    return migrations()[-1][0]


def connect_writer(
    path: Path, *, durability: Durability, busy_timeout: float, now: float
) -> sqlite3.Connection:
    """The writing connection, on a file that is created or migrated when that is due.

    Raises NotALedger, NewerLedger, ReadOnly, Locked, DiskFull or Unavailable.
    """
    with friendly(path):
        _refuse_folder(path)
        _refuse_network_disk(path)
        if path.exists() and not os.access(path, os.W_OK):
            # SQLite would open it all the same, and refuse the first append.
            raise ReadOnly(f"{path} cannot be written; check the rights of the file and of its folder.")
        # Absolute, because SQLite may be built to read a name that begins with file: as an address.
        connection = sqlite3.connect(
            path.absolute(), timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            _recognise(connection, path)
            with locked_file(path, busy_timeout):
                # On a new file only: what pruning frees goes back to the system in small steps.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                # Two that begin the same file at one instant would refuse each other here without waiting.
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                if mode != "wal":
                    raise Unavailable(
                        f"{path} is on a disk that cannot share memory between processes; use a local one."
                    )
                connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
                # SQLite before 3.51.3 can corrupt the file when one connection checkpoints while another
                # resets the log: checkpoints are ours, under WriteLock, and never happen by themselves.
                connection.execute("PRAGMA wal_autocheckpoint = 0")
                # A log that a slow reader made long is cut when it is begun anew.
                connection.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT}")
                _migrate(connection, now)
        except BaseException:
            connection.close()
            raise
        return connection


def connect_reader(path: Path, *, busy_timeout: float) -> sqlite3.Connection:
    """A connection that cannot write. Raises what :func:`connect_writer` raises."""
    with friendly(path):
        if not path.exists():
            raise Unavailable(
                f"There is no ledger at {path.absolute()}; name another file, or append to begin one."
            )
        _refuse_folder(path)
        uri = f"file://{quote(str(path.absolute()))}?mode=ro"
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            _recognise(connection, path)
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                raise NotALedger(f"{path} is an empty file, not a ledger; begin one by appending to it.")
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def locked_file(path: Path, timeout: float) -> Generator["WriteLock", None, None]:
    """The file's write lock, held for the body. Raises Locked when it is not free in ``timeout`` seconds."""
    lock = WriteLock(path, timeout=timeout)
    try:
        with lock.held():
            yield lock
    finally:
        lock.close()


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        if application or connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise NotALedger(f"{path} is another program's database; name a file of the ledger's own.")
        return
    if version > schema_version():
        raise NewerLedger(
            f"{path} has schema {version}, written by a newer release; this one knows {schema_version()}. "
            "Upgrade progress-ledger to use the file."
        )


def _migrate(connection: sqlite3.Connection, now: float) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] == schema_version():
        return
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for number, script in migrations():
            if number > version:
                for statement in _statements(script):
                    connection.execute(statement)
        if version == 0:
            connection.execute(queries()["create_ledger"], (secrets.token_hex(8), format_time(now)))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {schema_version()}")


def seems_cut(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the log went further before than it does now. True also of one that just then grows."""
    with friendly(path), closing(WriteLock(path, timeout=0.0)) as lock:
        epoch, position = connection.execute("SELECT epoch, position FROM ledger").fetchone()
        return lock.noted(str(epoch)) > int(position)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """``BEGIN IMMEDIATE`` … ``COMMIT``; rolled back on any error, KeyboardInterrupt included."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def friendly(path: Path) -> Generator[None, None, None]:
    """Turn what SQLite says into the ledger's own errors."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, path) from error
    except UnicodeDecodeError as error:
        # Damage in the schema or a text: SQLite's own message cannot be read then, either.
        raise Unavailable(f"{path} is damaged: it holds text that is none; run verify.") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"The disk of {path} is full; make room, then try again.") from error
        raise ReadOnly(f"{path} cannot be opened for writing ({error.strerror}).") from error


def _translated(error: sqlite3.Error, path: Path) -> LedgerError:
    name: str = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL"):
        return DiskFull(
            f"The disk of {path} is full; nothing of this request was stored. Make room, try again."
        )
    if name in ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"):
        # What SQLite makes of a quota, a limit on the size of files, and a disk that breaks.
        return DiskFull(
            f"{path} cannot grow: a quota or limit is reached, or the disk fails. Nothing of this request "
            "was stored; make room, then try again."
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return _locked(path)
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return ReadOnly(f"{path} cannot be written; check the rights of the file and of its folder.")
    if name.startswith("SQLITE_CANTOPEN"):
        return ReadOnly(f"{path} cannot be opened; check that its folder is there and can be written.")
    if name.startswith("SQLITE_CORRUPT"):
        # Also what comes of a disk that could not be read at that moment.
        return Unavailable(
            f"{path} cannot be used: it is damaged, or its disk fails ({error}). Run verify, and restore a "
            "backup if it is."
        )
    if name == "SQLITE_NOTADB":
        return NotALedger(f"{path} is not a ledger: it is no SQLite file at all. Name another file.")
    return Unavailable(f"{path} cannot be used: {error}.")


def _locked(path: Path) -> Locked:
    return Locked(f"Another process held {path} past the timeout; nothing was stored. Try again.")


def _refuse_folder(path: Path) -> None:
    # SQLite calls it a failing disk, or one without rights.
    if path.is_dir():
        raise ReadOnly(f"{path} is a folder, not a ledger; name a file in it.")


def _refuse_network_disk(path: Path) -> None:
    # Write-ahead logging shares memory between processes, which a network disk cannot: two hosts would
    # each see half of the log.
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    folder = path.resolve().parent
    best, kind = -1, ""
    for line in mounts:
        fields = line.split(" ")
        point = Path(fields[1].replace("\\040", " "))
        if len(fields) > 2 and folder.is_relative_to(point) and len(point.parts) > best:
            best, kind = len(point.parts), fields[2]
    if kind in _NETWORK:
        raise Unavailable(
            f"{path} is on a network disk ({kind}), where several hosts would break the log; "
            "keep the file on a local disk and reach it through `progress-ledger serve`."
        )


class WriteLock:
    """One write transaction or checkpoint at a time, over all processes.

    SQLite keeps writers apart by itself, but not a checkpoint from a writer (before 3.51.3), and its own
    waiting is coarser. The lock is a file beside the ledger, since opening and closing the ledger's own
    files would drop SQLite's locks on them. It also holds a note of how far the log went, by which an opener
    sees that the log was cut.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self._path = path.with_name(path.name + "-lock")
        self._ledger = path
        self._timeout = timeout
        self._file: IO[bytes] | None = None

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Hold it for the body. Raises Locked when another process does not let go within the timeout."""
        if sys.platform == "win32":
            # There is no flock; one process at a time should write a file there.
            yield
        else:
            file = self._open()
            self._take(file)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def note(self, epoch: str, position: int) -> None:
        """Note, while it is held, that the log ``epoch`` is committed up to ``position``."""
        if sys.platform != "win32":
            try:
                os.pwrite(self._open().fileno(), b"%b %020d\n" % (epoch.encode("ascii"), position), 0)
            except OSError:
                # A full disk: an older note stays, or none, and less would be noticed. The commit stands.
                return

    def noted(self, epoch: str) -> int:
        """How far the log ``epoch`` went, as it was noted last; 0 when nothing was."""
        if sys.platform == "win32":
            return 0
        found = re.fullmatch(rb"([0-9a-f]{16}) ([0-9]{20})\n", os.pread(self._open().fileno(), 64, 0))
        return int(found[2]) if found is not None and found[1] == epoch.encode("ascii") else 0

    def close(self) -> None:
        """Let go of the lock file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, file: IO[bytes]) -> None:
        assert sys.platform != "win32"
        deadline = 0.0
        pause = 0.0005
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                deadline = deadline or time.monotonic() + self._timeout
                if time.monotonic() >= deadline:
                    raise _locked(self._ledger) from None
            time.sleep(pause)
            pause = min(0.005, pause * 1.5)

    def _open(self) -> IO[bytes]:
        if self._file is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._file = os.fdopen(descriptor, "rb")
        return self._file
