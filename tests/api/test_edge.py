"""No exception leaves the application."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive, Scope, Send

from progress_ledger.api.edge import Edge

pytestmark = pytest.mark.anyio

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_failure_before_the_answer_becomes_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    await Edge(broken)(SCOPE, _receive, send)
    assert sent[0]["status"] == 500
    assert b"internal_error" in sent[1]["body"]
    assert "GET /x failed" in caplog.text


async def test_a_failure_in_the_middle_leaves_the_answer_unfinished(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    await Edge(breaks_off)(SCOPE, _receive, send)
    assert [message.get("more_body") for message in sent] == [None, True]
    assert "ZeroDivisionError" in caplog.text
