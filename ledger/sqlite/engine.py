"""The engine on a SQLite file.

Where it departs from the usual use of aiosqlite, on purpose:

* a batch is one plain function on the connection's thread, not an await per statement: a hop to the
  thread costs 30–70 µs, an event 2 µs. aiosqlite has no public name for that; ``Connection._execute``
  is used in one place, and the dependency is held to the series it was read in;
* a batch is planned inside its transaction, when no other process can change what it is planned on;
* reads have a connection of their own, so that they do not queue behind commits; and so has the one question
  that is asked all the time, how far the log goes, which is answered without a hop.
"""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Literal, TypeVar

import aiosqlite
import anyio

from ..errors import Closed, Pruned, ReadOnly
from ..events import MAX_COUNT
from ..log import SCAN_PAGE, Append, Commit, Document, RunFilter, RunHead, RunPage, Stored, Visit
from ..times import format_time
from .connection import connected, gate_of
from .counts import Counts
from .file import (
    Durability,
    WriteLock,
    connect_reader,
    connect_writer,
    friendly,
    queries,
    seems_cut,
    transaction,
)
from .newest import Newest
from .plan import pages_of, write_plan
from .planner import Planner
from .runs import HEAD_COLUMNS, head_of, read_heads, select_runs, teach

__all__ = ("CHECKPOINT_PAGES", "SQLiteLog")

_T = TypeVar("_T")


CHECKPOINT_PAGES = 1000
"""About how many pages the write-ahead log may grow before it is folded into the file. A short one that is
used again commits 1.4 times faster than one that grows."""


class SQLiteLog:
    """An :class:`~..log.EventLog` in one file that several processes may write at a time.

    An accepted batch is on disk when ``commit`` returns: with ``durability="power"`` it survives the
    loss of power, with ``"process"`` a kill of every process but not a crash of the machine.
    """

    def __init__(
        self,
        path: Path,
        reader: aiosqlite.Connection,
        writer: aiosqlite.Connection | None,
        *,
        busy_timeout: float,
    ) -> None:
        self.path = path
        self._reader = reader
        self._writer = writer
        self._newest: Newest | None = None
        self._counts = Counts()
        self._epoch = ""
        self._lock = WriteLock(path, timeout=busy_timeout)
        self._planner = Planner()
        self._pages = 0
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | Path,
        *,
        durability: Durability = "power",
        busy_timeout: float = 5.0,
        read_only: bool = False,
        now: float,
    ) -> AsyncGenerator["SQLiteLog", None]:
        """The log in ``path``, created when there is none (unless ``read_only``).

        ``busy_timeout`` is how many seconds to wait for another process's transaction.
        Raises NotALedger, NewerLedger, ReadOnly, Locked, DiskFull or Unavailable.
        """
        path = Path(path)

        def write() -> sqlite3.Connection:
            connection = connect_writer(path, durability=durability, busy_timeout=busy_timeout, now=now)
            try:
                if seems_cut(connection, path):
                    from .cut import renew_if_cut  # stands on the audit, which nearly nobody needs

                    renew_if_cut(connection, path, busy_timeout=busy_timeout)
            except BaseException:
                connection.close()
                raise
            return connection

        def read() -> sqlite3.Connection:
            connection = connect_reader(path, busy_timeout=busy_timeout)
            teach(connection)
            return connection

        def look(_: sqlite3.Connection) -> Newest:
            return Newest(path, busy_timeout=busy_timeout)

        writer = None if read_only else await connected(write)
        try:
            reader = await connected(read)
        except BaseException:
            if writer is not None:
                with anyio.CancelScope(shield=True):
                    await writer.close()
            raise
        log = cls(path, reader, writer, busy_timeout=busy_timeout)
        try:
            rows = await log._read(_all, queries()["epoch"], ())
            log._epoch = rows[0][0]
            log._newest = await log._read(look)
            yield log
        finally:
            with anyio.CancelScope(shield=True):
                await log.close()

    @property
    def epoch(self) -> str:
        return self._epoch

    async def commit(self, requests: Sequence[Append], *, now: float) -> Commit:
        return await self._write(self._commit, requests, format_time(now))

    async def head(self) -> int:
        position = self.glance()
        if position is None:
            position = int((await self._read(_all, queries()["head"], ()))[0][0])
        return position

    def glance(self) -> int | None:
        if self._closed:
            raise Closed
        return None if self._newest is None else self._newest.look()

    async def read(self, after: int, *, limit: int) -> Sequence[tuple[int, bytes | None]]:
        return await self._read(_all, queries()["read"], (min(after, MAX_COUNT), limit))

    async def scan(self, after: int, *, through: int, limit: int, visit: Visit) -> None:
        await self._read(_scan, min(after, MAX_COUNT), min(through, MAX_COUNT), limit, visit)

    async def read_run(self, run_id: str, *, after: int = 0, limit: int) -> list[Stored]:
        return await self._read(_read_run, run_id, after, limit)

    async def run(self, run_id: str) -> RunHead | None:
        return (await self.runs_by_id((run_id,))).get(run_id)

    async def runs_by_id(self, run_ids: Iterable[str], *, children: int = 0) -> dict[str, RunHead]:
        return await self._read(read_heads, list(run_ids), children)

    async def runs(
        self,
        where: RunFilter,
        *,
        order: Literal["created", "-created"] = "-created",
        after: int | None = None,
        limit: int = 100,
    ) -> RunPage:
        sql, parameters = select_runs(
            where, HEAD_COLUMNS, after=after, backwards=order == "-created", limit=limit + 1
        )
        heads = [head_of(row) for row in await self._read(_all, sql, parameters)]
        return RunPage(heads[:limit], heads[limit - 1].number if len(heads) > limit else None)

    async def count_runs(self, where: RunFilter) -> dict[str, int]:
        return await self._read(self._counts.of, where)

    async def save_documents(
        self, space: str, documents: Sequence[Document], *, checkpoint: int | None = None
    ) -> None:
        await self._write(self._save_documents, space, documents, checkpoint)

    async def load_documents(self, space: str, keys: Sequence[str] | None = None) -> list[Document]:
        return await self._read(_documents, space, keys)

    async def checkpoint(self, space: str) -> int:
        rows = await self._read(_all, queries()["checkpoint"], (space,))
        return int(rows[0][0]) if rows else 0

    async def clear_documents(self, space: str) -> None:
        await self._write(self._clear_documents, space)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # The readers go first: the last connection to close folds the write-ahead log into the file.
        if self._newest is not None:
            self._newest.close()
        await self._reader.close()
        if self._writer is not None:
            await self._writer.close()
        self._lock.close()

    async def on_writer(
        self, function: Callable[[sqlite3.Connection], _T], *, exclusive: bool = False, pages: int = 0
    ) -> _T:
        """Run ``function(connection)`` in a write transaction of its own, after what is queued.

        For derived tables that are kept beside the log; keep it short, appends wait for it. With
        ``exclusive`` there is no transaction, for statements that SQLite runs only outside of one. ``pages``
        is about how many it adds to the write-ahead log: who writes much also folds that into the file.
        """

        def call(connection: sqlite3.Connection) -> _T:
            with self._lock.held():
                if exclusive:
                    return function(connection)
                with transaction(connection):
                    result = function(connection)
                if pages:
                    self._wrote(connection, pages)
                return result

        return await self._write(call)

    async def on_reader(self, function: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run ``function(connection)`` on the reading connection, which cannot write."""
        return await self._read(function)

    async def _read(self, function: Callable[..., _T], *args: object) -> _T:
        return await self._call(self._reader, function, args)

    async def _write(self, function: Callable[..., _T], *args: object) -> _T:
        if self._writer is None:
            raise ReadOnly(f"{self.path} was opened for reading only; open it without read_only to append.")
        return await self._call(self._writer, function, args)

    async def _call(
        self, connection: aiosqlite.Connection, function: Callable[..., _T], args: tuple[object, ...]
    ) -> _T:
        if self._closed:
            raise Closed
        # The call runs to its end on the thread whatever becomes of the caller.
        with friendly(self.path):
            untyped: Any = connection
            execute: Callable[..., Awaitable[_T]] = untyped._execute  # noqa: SLF001 - see above
            gate = gate_of(connection)
            return await execute(gate.through, function, untyped._conn, *args)  # noqa: SLF001 - see above

    # ── on the writer's thread ──────────────────────────────────────────────────────────────────────────

    def _commit(self, connection: sqlite3.Connection, requests: Sequence[Append], time: str) -> Commit:
        with self._lock.held():
            with transaction(connection):
                planned = self._planner.plan(connection, requests, time)
                done, position = planned.plan, planned.world.position
                if done.rows:
                    write_plan(connection, done, planned.world, position=planned.after)
            self._planner.committed(planned)
            if done.rows:
                self._lock.note(self._epoch, position)
            self._wrote(connection, pages_of(done))
        return Commit(planned.after, done.outcomes, done.events, done.touched)

    def _save_documents(
        self,
        connection: sqlite3.Connection,
        space: str,
        documents: Sequence[Document],
        checkpoint: int | None,
    ) -> None:
        with self._lock.held():
            with transaction(connection):
                connection.executemany(
                    queries()["add_document"],
                    [(space, document.key, document.position, document.value) for document in documents],
                )
                if checkpoint is not None:
                    connection.execute(queries()["move_checkpoint"], (space, checkpoint))
            self._wrote(connection, 4 + len(documents))

    def _clear_documents(self, connection: sqlite3.Connection, space: str) -> None:
        with self._lock.held(), transaction(connection):
            connection.execute(queries()["clear_documents"], (space,))
            connection.execute(queries()["clear_checkpoint"], (space,))

    def _wrote(self, connection: sqlite3.Connection, pages: int) -> None:
        # Under the lock, so that nobody else writes or checkpoints.
        self._pages += pages
        if self._pages >= CHECKPOINT_PAGES:
            self._pages = 0
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except sqlite3.Error:
                # A full disk or a busy reader stops the folding, not the log: it is tried again later.
                return


# ── on either thread ────────────────────────────────────────────────────────────────────────────────────


def _scan(connection: sqlite3.Connection, after: int, through: int, limit: int, visit: Visit) -> None:
    with closing(connection.execute(queries()["scan"], (after, through, limit))) as rows:
        while (page := rows.fetchmany(SCAN_PAGE)) and visit(page):
            pass


def _all(connection: sqlite3.Connection, sql: str, parameters: Sequence[object]) -> list[Any]:
    return connection.execute(sql, parameters).fetchall()


def _read_run(connection: sqlite3.Connection, run_id: str, after: int, limit: int) -> list[Stored]:
    head = read_heads(connection, [run_id]).get(run_id)
    if head is None or after >= head.version:
        return []
    if head.pruned is not None:
        raise Pruned(run_id, head.pruned or None)
    sql = queries()
    through = min(after + limit, head.version)
    mark = connection.execute(sql["mark_from"], (head.number, through)).fetchone()
    version, position = mark or (head.version, head.last)
    where = {"version": version, "position": position, "after": after, "through": through}
    return [Stored(*row) for row in connection.execute(sql["read_chain"], where)]


def _documents(connection: sqlite3.Connection, space: str, keys: Sequence[str] | None) -> list[Document]:
    sql = queries()
    if keys is None:
        return [Document(*row) for row in connection.execute(sql["documents"], (space,))]
    found: list[Document] = []
    for key in keys:
        row = connection.execute(sql["document"], (space, key)).fetchone()
        if row is not None:
            found.append(Document(*row))
    return found
