"""A server's refusal is the error that the ledger itself would have raised."""

from __future__ import annotations

import msgspec
import pytest

from progress_ledger.ledger.errors import (
    EventIdConflict,
    InvalidEvent,
    InvalidTransition,
    LedgerError,
    Pruned,
    RunEnded,
    SlotHolder,
    SlotTaken,
    Unavailable,
    VersionConflict,
)
from progress_ledger.ledger.producers.remote_problem import error_of

ERRORS: list[LedgerError] = [
    SlotTaken("s", SlotHolder(run_id="h", kind="k", status="running", owner="o")),
    RunEnded("r", "failed"),
    VersionConflict("r", 3, 4),
    EventIdConflict("r", "e"),
    InvalidTransition("r", "paused", "ticked"),
    Pruned("r", "/archive"),
    InvalidEvent("data.done: no.", field="data.done"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_an_error_comes_back_as_itself(error: LedgerError) -> None:
    renamed = {"status": "run_status", "type": "event_type"}
    told = {renamed.get(name, name): value for name, value in error.fields().items()}
    body = msgspec.json.encode({"code": error.code, "detail": str(error), **told})
    back = error_of(409, body, "r")
    assert type(back) is type(error)
    assert back.fields() == error.fields()


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 507])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert isinstance(error_of(status, b"<html>bad gateway", "r"), Unavailable)


@pytest.mark.parametrize("status", [302, 404, 405, 410, 418])
def test_what_is_not_the_ledgers_word_may_pass(status: int) -> None:
    assert isinstance(error_of(status, b"<html>nothing here", "r"), Unavailable)
    assert not isinstance(error_of(404, b'{"code":"not_found","detail":"Nothing."}', "r"), Unavailable)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"code":7}', b"\xff", b'{"code":"slot_taken","run":"x"}'])
def test_what_makes_no_sense_is_still_one_of_the_ledgers_errors(body: bytes) -> None:
    error = error_of(422, body, "r")
    assert isinstance(error, LedgerError)
    assert not isinstance(error, Unavailable)
