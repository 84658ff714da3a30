"""A command finds its runs where it was told to, in a fixed order of asking."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.api.commands.source import Place, Usage, file_of, open_source, place_of
from progress_ledger.api.console.client import get
from progress_ledger.ledger.errors import Unavailable
from tests.api.asking import api

pytestmark = pytest.mark.anyio


def test_options_come_before_the_environment_and_a_file_before_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    default = Place(Path("progress.db"), None)
    assert place_of(None, None) == default
    monkeypatch.setenv("PROGRESS_LEDGER_URL", "http://env")
    assert place_of(None, None) == Place(None, "http://env")
    monkeypatch.setenv("PROGRESS_LEDGER_DB", "env.db")
    assert place_of(None, None) == Place(Path("env.db"), None)
    assert place_of("told.db", None) == Place(Path("told.db"), None)
    assert place_of(None, "http://told") == Place(None, "http://told")
    assert file_of(None) == Path("env.db")
    monkeypatch.setenv("PROGRESS_LEDGER_DB", "")
    assert file_of(None) == Path("progress.db")
    assert file_of("told.db") == Path("told.db")


async def test_a_file_is_only_read(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    async with api(path) as asked:
        await asked.begin("r")
    before = path.read_bytes()
    async with open_source(str(path), None) as source:
        assert b'"run_id":"r"' in await get(source, "/v1/runs/r")
    assert path.read_bytes() == before


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="There is no ledger at"):
        async with open_source(str(tmp_path / "p.db"), None):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_a_url_that_is_none_is_wrong_usage() -> None:
    with pytest.raises(Usage):
        async with open_source(None, "nonsense"):
            pass
