"""What ``serve`` is told: by its arguments, else the environment, else a TOML file, else as it stands here.

The names are the same in all three: ``--allow-origin``, ``PROGRESS_LEDGER_ALLOW_ORIGIN`` (several with commas
between) and ``allow_origin``; what lies in a table is ``PROGRESS_LEDGER_LIMITS_STREAMS`` and ``[limits]``
``streams``.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from progress_ledger.ledger.sqlite.file import Durability

from .access.limits import Limits
from .streams.stream import StreamSettings
from .webhook import Webhook

__all__ = ("PREFIX", "BadSetting", "Settings", "read_toml", "settings")

PREFIX = "PROGRESS_LEDGER_"
"""What the name of every environment variable begins with."""

_TABLES: dict[str, type[Struct]] = {"limits": Limits, "streams": StreamSettings}
_LISTS = frozenset(("allow_host", "allow_origin", "trusted_proxy"))


class BadSetting(Exception):
    """A setting that is unknown or has a value it cannot have; the text says where it stands."""


class Settings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Everything ``serve`` can be told.

    ``uds`` is the path of a Unix socket, in place of ``host`` and ``port``. ``allow_host``: further names
    it answers to; on loopback it answers to loopback names alone. ``allow_origin``: pages of these may
    use the API from a browser. ``trusted_proxy``: addresses whose ``X-Forwarded-For`` and
    ``X-Forwarded-Proto`` are believed. ``otel``: OpenTelemetry traces, which need the extra ``otel``.
    Ages are seconds, or text such as ``90d``.
    """

    db: str = "progress.db"
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    uds: str | None = None
    durability: Durability = "power"
    allow_host: tuple[str, ...] = ()
    allow_origin: tuple[str, ...] = ()
    trusted_proxy: tuple[str, ...] = ()
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    otel: bool = False
    checkpoint_key: str | None = None
    checkpoint_every: float | str = 60.0
    checkpoint_events: int = 10_000
    checkpoint_at_end: bool = False
    prune_older_than: float | str | None = None
    keep_failed: bool = False
    archive: str | None = None
    no_archive: bool = False
    limits: Limits = Limits()
    streams: StreamSettings = StreamSettings()
    webhooks: tuple[Webhook, ...] = ()


def settings(
    arguments: Mapping[str, object],
    environment: Mapping[str, str],
    file: Mapping[str, Any] | None = None,
    *,
    file_name: str = "the settings file",
) -> Settings:
    """The settings that the three together make; an argument that is None was not given.

    Raises BadSetting.
    """
    layer: dict[str, Any] = dict(file or {})
    _checked(layer, file_name, strict=True)
    for name, value in _from_environment(environment):
        variable = PREFIX + name.upper().replace(".", "_")
        table, _, field = name.rpartition(".")
        told: object = _listed(value) if field in _LISTS else value
        one = _checked({table: {field: told}} if table else {field: told}, variable, strict=False)
        if table:
            layer[table] = {**layer.get(table, {}), field: getattr(getattr(one, table), field)}
        else:
            layer[field] = getattr(one, field)
    layer |= {name: value for name, value in arguments.items() if value is not None}
    return _checked(layer, "the settings", strict=True)


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a file. Raises OSError, and BadSetting when it is no TOML."""
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path} is no TOML: {error}.") from None


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    names = [name for name in Settings.__struct_fields__ if name not in (*_TABLES, "webhooks")]
    names += [f"{table}.{name}" for table, kind in _TABLES.items() for name in kind.__struct_fields__]
    variables = ((name, environment.get(PREFIX + name.upper().replace(".", "_"))) for name in names)
    return [(name, value) for name, value in variables if value]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _checked(layer: Mapping[str, object], where: str, *, strict: bool) -> Settings:
    try:
        # Lists come as tuples from the environment and as lists from TOML.
        return msgspec.convert(layer, Settings, strict=strict)
    except msgspec.ValidationError as error:
        raise BadSetting(f"{where}: {str(error).replace('`$.', '`')}.") from None
