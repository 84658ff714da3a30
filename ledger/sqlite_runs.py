"""The directory of runs as SQL: a filter becomes a statement, a row becomes a head."""

from collections.abc import Sequence
from typing import Any

import msgspec

from .log import RunFilter, RunHead

__all__ = ("HEAD_COLUMNS", "head_of", "select_runs")

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


def head_of(row: Sequence[Any]) -> RunHead:
    """A run's head from a row of :data:`HEAD_COLUMNS`."""
    fields = dict(zip(_FIELDS, row, strict=True))
    labels = fields["labels"]
    fields["labels"] = {} if labels == "{}" else msgspec.json.decode(labels, type=dict[str, str])
    return RunHead(**fields)


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
        parameters.extend(values)

    for column in ("kind", "scope", "parent", "slot"):
        value = getattr(where, column)
        if value is not None:
            need(f"{column} = ?", value)
    for column, values in (("status", where.statuses), ("run_id", where.run_ids), ("kind", where.kinds)):
        if values is not None:
            need(
                f"{column} IN (SELECT value FROM json_each(?))", msgspec.json.encode(sorted(values)).decode()
            )
    for key, value in where.labels:
        need("number IN (SELECT run FROM run_label WHERE key = ? AND value = ?)", key, value)
    if where.q is not None:
        like = "%" + where.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        found = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in ("run_id", "kind", "scope", "title"))
        need(f"({found})", like, like, like, like)
    if after is not None:
        need("number < ?" if backwards else "number > ?", after)
    sql = f"SELECT {columns} FROM run"  # noqa: S608 - column lists are this package's own
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
