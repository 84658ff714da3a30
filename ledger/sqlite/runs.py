"""The directory of runs as SQL: a filter becomes a statement, a row becomes a head."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from ..events import ACTIVE, MAX_COUNT
from ..log import RunFilter, RunHead
from ..pattern import as_glob

__all__ = ("HEAD_COLUMNS", "IS_ACTIVE", "head_of", "read_heads", "select_runs", "teach")

_FIELDS = (
    "number",
    "run_id",
    "kind",
    "scope",
    "title",
    "parent",
    "owner",
    "slot",
    "lease_seconds",
    "attempt",
    "labels",
    "status",
    "version",
    "first",
    "last",
    "time",
    "pruned",
)

HEAD_COLUMNS = ", ".join(_FIELDS)
"""The columns :func:`head_of` reads, in its order."""

IS_ACTIVE = "status IN ('queued', 'running', 'paused')"
"""What makes a run active, to the letter as the indexes of active runs have it: else none is used."""


def head_of(row: Sequence[Any]) -> RunHead:
    """A run's head from a row of :data:`HEAD_COLUMNS`."""
    fields = dict(zip(_FIELDS, row, strict=True))
    labels = fields["labels"]
    fields["labels"] = {} if labels == "{}" else msgspec.json.decode(labels, type=dict[str, str])
    return RunHead(**fields)


def read_heads(
    connection: sqlite3.Connection, run_ids: Sequence[str], children: int = 0
) -> dict[str, RunHead]:
    """The heads of those runs that exist, and of at most ``children`` of their active children."""
    found: dict[str, RunHead] = {}
    for start in range(0, len(run_ids), 500):
        # What is not ASCII is no run's id, and what is not even a text's may not be bound.
        some = [run_id for run_id in run_ids[start : start + 500] if run_id.isascii()]
        marks = ", ".join("?" * len(some))
        sql = f"SELECT {HEAD_COLUMNS} FROM run WHERE run_id IN ({marks})"
        rows = connection.execute(sql, some).fetchall()
        if children > 0:
            sql = f"SELECT {HEAD_COLUMNS} FROM run WHERE parent IN ({marks}) AND {IS_ACTIVE} LIMIT ?"
            more = connection.execute(sql, (*some, children)).fetchall()
            children -= len(more)
            rows += more
        for row in rows:
            head = head_of(row)
            found[head.run_id] = head
    return found


def teach(connection: sqlite3.Connection) -> None:
    """Give the connection what :func:`select_runs` calls: a search that knows the cases of all letters."""

    def found(text: str, *values: str | None) -> bool:
        return any(value is not None and text in value.casefold() for value in values)

    connection.create_function("found", -1, found, deterministic=True)


def select_runs(
    where: RunFilter,
    columns: str,
    *,
    after: int | None = None,
    backwards: bool = False,
    limit: int | None = None,
    group: str | None = None,
) -> tuple[str, list[object]]:
    """A statement and its parameters. Values are always bound, never written into the text."""
    terms: list[str] = []
    parameters: list[object] = []

    def need(term: str, *values: object) -> None:
        terms.append(term)
        parameters.extend(_sound(value) if isinstance(value, str) else value for value in values)

    kind = "kind"
    if where.statuses is not None and where.statuses <= ACTIVE:
        # The words of an index: of all runs the few that are active are looked at. The plus keeps SQLite
        # from looking through all that a kind ever had instead.
        terms.append(IS_ACTIVE)
        kind = "+kind"
    for column, value in (
        (kind, where.kind),
        ("scope", where.scope),
        ("parent", where.parent),
        ("slot", where.slot),
    ):
        if value is not None:
            need(f"{column} = ?", value)
    for column, values in (("status", where.statuses), ("run_id", where.run_ids), (kind, where.kinds)):
        if values is not None:
            listed = msgspec.json.encode([_sound(each) for each in sorted(values)]).decode()
            need(f"{column} IN (SELECT value FROM json_each(?))", listed)
    if where.kind_pattern is not None:
        need(f"{kind} GLOB ?", as_glob(where.kind_pattern))
    sign = "<" if backwards else ">"
    beyond = () if after is None else (min(after, MAX_COUNT),)
    for key, value in where.labels:
        there = f" AND l.run {sign} ?" if beyond else ""
        need(
            f"number IN (SELECT l.run FROM run_label AS l WHERE key = ? AND value = ?{there})",
            key,
            value,
            *beyond,
        )
    if where.q is not None:
        need("found(?, run_id, kind, scope, title)", where.q.casefold())
    table = "run" if group is None else "run_entry"
    if beyond:
        need(f"number {sign} ?", *beyond)
        if group is not None:
            # Few runs lie beyond; some indexes would be read whole to find them.
            table += " NOT INDEXED"
    sql = f"SELECT {columns} FROM {table}"
    if terms:
        sql += " WHERE " + " AND ".join(terms)
    if group is not None:
        sql += f" GROUP BY {group}"
    else:
        sql += f" ORDER BY number{' DESC' if backwards else ''}"
    if limit is not None:
        sql += " LIMIT ?"
        parameters.append(limit)
    return sql, parameters


def _sound(text: str) -> str:
    # A lone surrogate, as a command line may bring it, cannot be bound; escaped, it is found nowhere.
    return text.encode("utf-8", "backslashreplace").decode()
