"""Requests as bytes, straight into the application, and what came of them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import anyio
from starlette.types import ASGIApp, Message

BOUND = 15.0
"""Seconds after which a request counts as hanging."""


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    headers: list[tuple[bytes, bytes]],
    body: bytes = b"",
) -> Answer:
    """One request; of a stream that goes on, what came until nothing more did. Raises what the app raises."""
    sent = asyncio.Event()
    gone = asyncio.Event()
    started: list[Message] = []
    parts: list[bytes] = []
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        else:
            parts.append(message.get("body", b""))
        sent.set()

    async def leave() -> None:
        await sent.wait()
        while sent.is_set():
            sent.clear()
            with anyio.move_on_after(0.02):
                await sent.wait()
        gone.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            await app(scope, receive, send)
            sent.set()
            gone.set()
            tasks.cancel_scope.cancel()
    (head,) = started
    return Answer(head["status"], dict(head["headers"]), b"".join(parts))
