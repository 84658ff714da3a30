"""Who asks for too much is told to come back: 429 with ``Retry-After``, on a stream ``busy``.

Counted for each token and for each address. This machine's own addresses are not counted, so that without
tokens on loopback nothing is limited, and a reverse proxy here is not taken for one caller.
"""

import math
import time
from collections.abc import Awaitable, Callable, Hashable

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..problems import Refusal, problem_of
from ..streams import sse
from ..streams.following import retry_ms
from ..tracing import answered, note
from .limits import Account, Accounts, Bucket, address_key
from .rights import access_of

__all__ = ("Limiting", "by_address", "by_token", "spend_runs")

_KEY = "progress_ledger.accounts"


def by_address(scope: Scope) -> Hashable | None:
    """The caller by its address; None for this machine."""
    client = scope.get("client")
    return address_key(client[0]) if client else None


def by_token(scope: Scope) -> Hashable | None:
    """The caller by its token; None without one. To be asked behind the authentication."""
    return access_of(scope).token


def spend_runs(scope: Scope, count: int = 1) -> None:
    """Take ``count`` new runs off the caller's accounts. Raises Refusal, 429, when there are none left."""
    accounts: list[Account] = scope.get(_KEY, [])
    now = time.monotonic()
    for account in accounts:
        _take(account.runs, count, now, "begins too many runs")


class Limiting:
    """Keeps the callers that ``key`` tells apart within the limits of ``accounts``; who has no key is free.

    A body that is longer than what is left is read more slowly, not cut off: of JSON lines some may be
    stored already. The next request then waits for it.
    """

    def __init__(self, app: ASGIApp, *, accounts: Accounts, key: Callable[[Scope], Hashable | None]) -> None:
        self._app = app
        self._accounts = accounts
        self._key = key

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        caller = self._key(scope) if scope["type"] == "http" else None
        if caller is None:
            return self._app(scope, receive, send)
        account = self._accounts.of(caller, time.monotonic())
        scope[_KEY] = [*scope.get(_KEY, ()), account]
        if _is_stream(scope):
            return self._stream(account, scope, receive, send)
        try:
            now = time.monotonic()
            _take(account.requests, 1, now, "sends too many requests")
            told = Headers(scope=scope).get("content-length", "")
            _take(account.body_bytes, int(told) if told.isdigit() else 0, now, "sends too much")
        except Refusal as refusal:
            return problem_of(refusal)(scope, receive, send)
        # What was told beforehand is paid; a body in chunks pays as it comes.
        return self._app(scope, receive if told.isdigit() else _paid(account, receive), send)

    async def _stream(self, account: Account, scope: Scope, receive: Receive, send: Send) -> None:
        if account.requests.take(1, time.monotonic()):
            await _busy("too_many_requests", scope, send)
        elif account.streams >= self._accounts.limits.streams:
            await _busy("too_many_streams", scope, send)
        else:
            account.streams += 1
            try:
                await self._app(scope, receive, send)
            finally:
                account.streams -= 1


def _is_stream(scope: Scope) -> bool:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path == "/v1/stream" or (path.startswith("/v1/runs/") and path.endswith("/stream"))


def _take(bucket: Bucket, cost: float, now: float, does: str) -> None:
    wait = bucket.take(cost, now)
    if wait:
        # Whole seconds, because that is all Retry-After can say.
        seconds = max(1, math.ceil(wait))
        unit = "second" if seconds == 1 else "seconds"
        detail = f"This caller {does}; try again in {seconds} {unit}."
        raise Refusal(429, "too_many_requests", detail, retry_after=seconds)


def _paid(account: Account, receive: Receive) -> Receive:
    async def paid() -> Message:
        message = await receive()
        size = len(message.get("body", b""))
        if size:
            owed = account.body_bytes.charge(size, time.monotonic())
            if owed:
                await anyio.sleep(owed)
        return message

    return paid


async def _busy(reason: str, scope: Scope, send: Send) -> None:
    body = b"" if scope["method"] == "HEAD" else sse.busy(reason=reason, retry_ms=retry_ms())
    answered(scope, 200)
    note(scope, stream_status="busy", stream_reason=reason)
    await send({"type": "http.response.start", "status": 200, "headers": list(sse.HEADERS)})
    await send({"type": "http.response.body", "body": body, "more_body": False})
