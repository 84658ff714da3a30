"""The transition table, cell by cell."""

import pytest

from progress_ledger.ledger.events import ACTIVE, PAYLOADS, TERMINAL
from progress_ledger.ledger.lifecycle import next_status

# rows: event types; columns: no run yet, queued, running, paused. "=" stays, "." is refused.
TABLE = """
queued            queued   .          .          .
started           running  running    .          .
ticked            .        .          =          .
stage_changed     .        .          =          .
total_changed     .        =          =          =
rewound           .        .          =          .
noted             .        =          =          =
heartbeat         .        =          =          =
paused            .        .          paused     .
resumed           .        .          .          running
cancel_requested  .        =          =          =
completed         .        completed  completed  completed
failed            .        failed     failed     failed
cancelled         .        cancelled  cancelled  cancelled
interrupted       .        interrupted interrupted interrupted
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_event_leads_where_the_table_says(row: list[str]) -> None:
    event_type, *cells = row
    for status, cell in zip((None, "queued", "running", "paused"), cells, strict=True):
        expected = {"=": status, ".": None}.get(cell, cell)
        assert next_status(status, event_type) == expected, (status, event_type)


def test_the_table_has_every_type_once() -> None:
    assert [row[0] for row in ROWS] == list(PAYLOADS)
    assert frozenset({"queued", "running", "paused"}) == ACTIVE


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_leads_out_of_an_end(status: str) -> None:
    assert [each for each in PAYLOADS if next_status(status, each)] == []


def test_what_nobody_knows_leads_nowhere() -> None:
    assert next_status("running", "exploded") is None
    assert next_status("napping", "ticked") is None
