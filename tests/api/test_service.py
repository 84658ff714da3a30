"""What endpoints work with is one record."""

from __future__ import annotations

import pytest

from progress_ledger.api.service import Service
from tests.api.asking import Api

pytestmark = pytest.mark.anyio


async def test_a_service_names_its_three_parts(asked: Api) -> None:
    service = Service(asked.ledger, asked.projector, asked.drain)
    assert service.ledger is asked.ledger
    assert service.projector is asked.projector
    assert service.drain is asked.drain
