"""The outermost layer: no exception leaves the application, and no traceback reaches a client."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access.rights import access_of
from .problems import problem_of
from .tracing import failed

__all__ = ("Edge",)

_logger = logging.getLogger("progress_ledger.api")


class Edge:
    """Answers 500 as a problem for what nobody foresaw, and logs it with its traceback.

    When the response had begun already it is left unfinished, so that the server cuts the connection and
    the client sees that the answer is not whole. At level ``info`` each request is logged when it is over.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0
        began = time.monotonic()

        async def watch(message: Message) -> None:
            nonlocal status
            status = status or message.get("status", 0)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            _logger.exception("%s %s failed", scope.get("method", ""), _path(scope))
            if scope["type"] == "http" and not status:
                await problem_of(error)(scope, receive, send)
            failed(scope, type(error).__qualname__)
            return
        finally:
            if _logger.isEnabledFor(logging.INFO) and scope["type"] == "http":
                _log_request(scope, status, time.monotonic() - began)


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    client = scope.get("client")
    facts = {
        "method": scope["method"],
        "path": _path(scope),
        "status": status or 500,
        "seconds": round(seconds, 6),
        "token": access_of(scope).token,
        "address": client[0] if client else None,
    }
    _logger.info("%(method)s %(path)s %(status)s", facts, extra=facts)


def _path(scope: Scope) -> str:
    # Percent-encoded as it came, and without its query.
    raw: bytes = scope.get("raw_path") or scope.get("path", "").encode("utf-8", "backslashreplace")
    return raw.partition(b"?")[0].decode("ascii", "backslashreplace")
