"""Ids the ledger makes: of the form UUIDv7, unique, in order of time."""

import re
import time
import uuid

import pytest

from progress_ledger.ledger import ids
from progress_ledger.ledger.door import check_run_id


def test_a_run_id_is_a_uuid_of_version_7_and_a_valid_run_id() -> None:
    run_id = ids.new_run_id()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", run_id)
    parsed = uuid.UUID(run_id)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert check_run_id(run_id) == run_id


def test_run_ids_are_unique() -> None:
    assert len({ids.new_run_id() for _ in range(10_000)}) == 10_000


def test_run_ids_sort_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    for milliseconds in (0, 1, 1_795_000_000_000, 1_795_000_000_001, 2**48 - 1):
        monkeypatch.setattr(time, "time_ns", lambda now=milliseconds: now * 1_000_000)
        made.append(ids.new_run_id())
    assert made == sorted(made)
