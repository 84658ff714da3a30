"""The words of the protocol: engines are engines, and filters match what they say."""

from __future__ import annotations

import inspect

import pytest

from progress_ledger.ledger.log import Document, EventLog, Receipt, RunFilter, RunHead
from progress_ledger.ledger.memory import MemoryLog
from progress_ledger.ledger.sqlite import SQLiteLog

HEAD = RunHead(
    number=1, run_id="qa-7", kind="bulk", scope="ep:1", title="Größe", parent="night", owner="me", slot="s",
    lease_seconds=None, attempt=1, labels={"team": "red", "gate": ""}, status="running", version=3, first=1,
    last=9, time="2026-11-21T23:34:40.000000Z",
)  # fmt: skip


@pytest.mark.parametrize("engine", [MemoryLog, SQLiteLog])
def test_an_engine_has_all_of_the_protocol_with_the_same_signatures(engine: type[EventLog]) -> None:
    for name, wanted in inspect.getmembers(EventLog):
        if name.startswith("_"):
            continue
        found = getattr(engine, name)
        if inspect.isfunction(wanted):
            assert inspect.signature(found).parameters == inspect.signature(wanted).parameters, name
            assert inspect.iscoroutinefunction(found) is inspect.iscoroutinefunction(wanted), name


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        (RunFilter(), True),
        (RunFilter(kind="bulk", scope="ep:1", parent="night", slot="s"), True),
        (RunFilter(kind="other"), False),
        (RunFilter(kind="bulk", scope="ep:2"), False),
        (RunFilter(kinds=frozenset({"bulk", "x"})), True),
        (RunFilter(kinds=frozenset()), False),
        (RunFilter(statuses=frozenset({"running"})), True),
        (RunFilter(statuses=frozenset({"failed"})), False),
        (RunFilter(labels=(("gate", ""), ("team", "red"))), True),
        (RunFilter(labels=(("team", "blue"),)), False),
        (RunFilter(labels=(("nothing", ""),)), False),
        (RunFilter(run_ids=frozenset({"qa-7"})), True),
        (RunFilter(run_ids=frozenset({"qa-8"})), False),
        (RunFilter(q="GRÖSSE"), True),
        (RunFilter(q="Qa"), True),
        (RunFilter(q="red"), False),
        (RunFilter(q=""), True),
    ],
    ids=repr,
)
def test_all_that_a_filter_gives_must_hold(where: RunFilter, holds: bool) -> None:
    assert where.matches(HEAD) is holds


def test_a_head_is_active_until_its_run_has_ended() -> None:
    assert HEAD.active
    assert not RunHead(
        **{**{name: getattr(HEAD, name) for name in HEAD.__struct_fields__}, "status": "failed"}
    ).active


def test_receipts_and_documents_are_values() -> None:
    assert Receipt(1, 2) == Receipt(position=1, version=2)
    assert len({Receipt(1, 2), Receipt(1, 2)}) == 1
    assert Document("k", 1, b"v").value == b"v"
    with pytest.raises(AttributeError):
        Receipt(1, 2).version = 3  # type: ignore[misc]  # it is frozen
