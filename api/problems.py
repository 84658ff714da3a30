"""Every refusal as ``application/problem+json`` (RFC 9457) with a stable ``code``.

The members are ``type`` (always ``about:blank``), ``title`` (the status in words), ``status``, ``code``,
``detail`` (one sentence for people) and the data of the error under its own names. Where an error's own name
is one of these, it is called ``run_status`` or ``event_type`` here.
"""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.errors import LedgerError

from .tracing import refused

__all__ = ("MEDIA_TYPE", "Refusal", "problem", "problem_of", "status_of")

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    "malformed": 400,
    "run_not_found": 404,
    "run_exists": 409,
    "run_ended": 409,
    "version_conflict": 409,
    "event_id_conflict": 409,
    "invalid_transition": 409,
    "slot_taken": 409,
    "pruned": 410,
    "too_large": 413,
    "invalid_run": 422,
    "invalid_event": 422,
    "unavailable": 503,
    "not_a_ledger": 503,
    "newer_ledger": 503,
    "read_only": 503,
    "locked": 503,
    "closed": 503,
    "disk_full": 507,
}

_RENAMED = {"status": "run_status", "type": "event_type"}

_WORDS = {
    404: ("not_found", "There is nothing at this address; openapi.json lists those there are."),
    405: ("method_not_allowed", "This address does not take this method; see the Allow header."),
}


class Refusal(Exception):
    """A request that HTTP itself has to refuse: a wrong query, host, content type. Nothing was stored."""

    def __init__(self, status: int, code: str, detail: str, **fields: object) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.fields = fields


def status_of(error: LedgerError) -> int:
    """The HTTP status that goes with the error's code; 500 for one that is not known here."""
    return _STATUS.get(error.code, 500)


def problem(
    status: int,
    code: str,
    detail: str,
    fields: Mapping[str, object] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    for name, value in (fields or {}).items():
        body[_RENAMED.get(name, name)] = value
    response = _Problem(ascii_json(body), status, headers={"Cache-Control": "no-store", **(headers or {})})
    response.code = code
    return response


class _Problem(Response):
    media_type = MEDIA_TYPE
    code = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused(scope, self.status_code, self.code)
        await super().__call__(scope, receive, send)


def problem_of(error: Exception) -> Response:
    """The problem that an exception means; what nobody foresaw is 500 ``internal_error``, no more."""
    if isinstance(error, LedgerError):
        headers = {"Retry-After": "1"} if error.code == "locked" else None
        return problem(status_of(error), error.code, str(error), error.fields(), headers=headers)
    if isinstance(error, Refusal):
        after = error.fields.get("retry_after")
        headers = None if after is None else {"Retry-After": str(after)}
        return problem(error.status, error.code, str(error), error.fields, headers=headers)
    if isinstance(error, HTTPException):
        code, detail = _WORDS.get(error.status_code, ("refused", error.detail))
        return problem(error.status_code, code, detail, headers=error.headers)
    if isinstance(error, ClientDisconnect):
        return problem(400, "malformed", "The body was cut off before its end; send it again.")
    return problem(500, "internal_error", "The server failed on this request; its log says why.")
