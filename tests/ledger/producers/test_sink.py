"""Near or far, a ledger is a sink."""

from __future__ import annotations

import pytest

from progress_ledger.ledger import Ledger
from progress_ledger.ledger.producers.remote import RemoteLedger
from progress_ledger.ledger.producers.sink import Created, News, Sink

pytestmark = pytest.mark.anyio


async def test_both_ledgers_are_sinks() -> None:
    async with Ledger.open(":memory:") as near, RemoteLedger.open("http://127.0.0.1:9") as far:
        sinks: list[Sink] = [near, far]
        assert [sink.answers_may_get_lost for sink in sinks] == [False, True]
        assert all(sink.owner for sink in sinks)


def test_its_answers_have_names() -> None:
    assert Created._fields == ("run_id", "receipt", "appended")
    assert News("running", 3, False).reason is None
