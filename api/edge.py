"""The outermost layer: no exception leaves the application, and no traceback reaches a client."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem_of

__all__ = ("Edge",)

_logger = logging.getLogger("progress_ledger.api")


class Edge:
    """Answers 500 as a problem for what nobody foresaw, and logs it with its traceback.

    When the response had begun already it is left unfinished, so that the server cuts the connection and
    the client sees that the answer is not whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            _logger.exception("%s %s failed", scope.get("method", ""), scope.get("path", ""))
            if scope["type"] == "http" and not begun:
                await problem_of(error)(scope, receive, send)
