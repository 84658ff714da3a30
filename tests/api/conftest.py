"""Fixtures of the tests of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.asking import Api, api


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Api]:
    """The API over a fresh ledger file."""
    async with api(tmp_path / "progress.db") as made:
        yield made
