"""Every error of the ledger has its status, its code and its data."""

from __future__ import annotations

import json

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from progress_ledger.api.problems import MEDIA_TYPE, Refusal, problem_of, status_of
from progress_ledger.ledger import errors
from progress_ledger.ledger.errors import InvalidTransition, LedgerError, Locked, VersionConflict


def _every(base: type[LedgerError]) -> list[type[LedgerError]]:
    return [each for child in base.__subclasses__() for each in (child, *_every(child))]


NOT_OVER_HTTP = {"ledger_error", "run_cancelled"}
"""Raised to producers in their own process only."""


def test_every_code_of_the_ledger_has_a_status() -> None:
    codes = {each.code: each for each in _every(LedgerError) if each.__module__ == errors.__name__}
    without = {code for code, each in codes.items() if status_of(each.__new__(each)) == 500}
    assert without <= NOT_OVER_HTTP


def test_a_problem_has_the_members_of_the_standard_and_the_data_of_the_error() -> None:
    response = problem_of(VersionConflict("r", 3, 5))
    assert (response.status_code, response.media_type) == (409, MEDIA_TYPE)
    assert json.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "code": "version_conflict",
        "detail": "Run 'r' is at version 5, not 3; read it again and decide anew.",
        "run_id": "r",
        "expected_version": 3,
        "current_version": 5,
    }


def test_an_errors_own_names_never_hide_the_standards() -> None:
    body = json.loads(bytes(problem_of(InvalidTransition("r", "paused", "ticked")).body))
    assert (body["status"], body["type"]) == (409, "about:blank")
    assert (body["run_status"], body["event_type"]) == ("paused", "ticked")


def test_a_locked_file_says_when_to_try_again() -> None:
    assert problem_of(Locked("held")).headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refusal(415, "malformed", "no", field="x"), 415, "malformed"),
        (HTTPException(404), 404, "not_found"),
        (HTTPException(405), 405, "method_not_allowed"),
        (HTTPException(418), 418, "refused"),
        (ClientDisconnect(), 400, "malformed"),
        (KeyError("secret"), 500, "internal_error"),
    ],
)
def test_other_errors_become_problems_too(error: Exception, status: int, code: str) -> None:
    response = problem_of(error)
    assert response.status_code == status
    assert json.loads(bytes(response.body))["code"] == code
    assert b"secret" not in bytes(response.body)
