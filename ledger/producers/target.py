"""Which ledger a producer means when it does not say: arguments, then the environment, then a file here."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ("DEFAULT_PATH", "ENV_DB", "ENV_URL", "Target", "choose_target")

ENV_DB = "PROGRESS_LEDGER_DB"
ENV_URL = "PROGRESS_LEDGER_URL"
DEFAULT_PATH = "progress.db"


class Target(NamedTuple):
    """A ledger file by its absolute path, or a server by its URL: one of them is empty."""

    path: str
    url: str

    def __str__(self) -> str:
        return self.path or self.url


def choose_target(
    ledger: str | os.PathLike[str] | Target | None = None, *, environ: Mapping[str, str] | None = None
) -> Target:
    """What ``ledger`` names, a path or an ``http(s)://`` URL; else ``PROGRESS_LEDGER_DB``, else
    ``PROGRESS_LEDGER_URL``, else ``progress.db`` in the current folder."""
    if isinstance(ledger, Target):
        return ledger
    if ledger is None:
        environ = os.environ if environ is None else environ
        ledger = environ.get(ENV_DB)
        if not ledger and (url := environ.get(ENV_URL)):
            # Also what is none: "localhost:8000" would be a file of that name, which nobody looks into.
            return Target("", url.rstrip("/"))
        ledger = ledger or DEFAULT_PATH
    text = os.fspath(ledger)
    if text.startswith(("http://", "https://")):
        return Target("", text.rstrip("/"))
    return Target(text if text == ":memory:" else str(Path(text).absolute()), "")
