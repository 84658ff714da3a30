"""The short way to a reader: bytes that all of them share, written to the server's own transport.

Through the application's layers each frame passes five coroutines and is copied for each reader. Here it is
written as it is. This is an offer and never needed: where it does not hold, frames go the usual way.

It holds when the server is uvicorn with httptools speaking HTTP/1.1 in chunks, when it called :class:`Direct`
itself, and when the first piece of the body came out below exactly as the stream sent it in above, so that
nothing in between (compression, say) rewrites bodies.
"""

from typing import Any, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ("Direct", "Line", "Transport", "line_of")

_KEY = "progress_ledger.line"


class Transport(Protocol):
    """What a line needs of the server's transport, and any transport of asyncio has."""

    def write(self, data: bytes, /) -> None:
        """Send ``data``; what the other side does not take yet is kept."""
        ...

    def get_write_buffer_size(self) -> int:
        """How many bytes are kept."""
        ...

    def is_closing(self) -> bool:
        """Whether the other side is gone, or will be."""
        ...


class Line:
    """A response's way out, as the server sees it.

    What is written to its ``transport`` is framed as a chunk already, and written only while the line is
    :attr:`ready`.
    """

    __slots__ = ("_cycle", "_flow", "_last", "transport")

    def __init__(self, cycle: Any) -> None:
        self.transport: Transport = cycle.transport
        self._cycle = cycle
        self._flow = cycle.flow
        self._last: object = None

    async def send(self, message: Message) -> None:
        """The server's own ``send``, looked at in passing."""
        self._last = message.get("body")
        await self._cycle.send(message)

    def proven(self, chunk: bytes) -> bool:
        """Whether ``chunk``, just sent, went out as it was and the response goes on in chunks."""
        cycle = self._cycle
        untouched = self._last is chunk
        self._last = None
        return untouched and cycle.chunked_encoding is True and not cycle.response_complete

    @property
    def closed(self) -> bool:
        """Whether the reader is gone. True of any line, proven or not."""
        return self._cycle.disconnected or self.transport.is_closing()

    @property
    def ready(self) -> bool:
        """Whether the transport takes more: the reader is there and keeps up."""
        return not (self._flow.write_paused or self.transport.is_closing())


class Direct:
    """The outermost layer of an application that is handed to the server: lends streams their line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/stream") and scope["method"] == "GET":
            cycle = getattr(send, "__self__", None)
            if _is_known(cycle):
                line = Line(cycle)
                scope[_KEY] = line
                await self._app(scope, receive, line.send)
                return
        await self._app(scope, receive, send)


def line_of(scope: Scope) -> Line | None:
    """The line that :class:`Direct` lent, if any."""
    line = scope.get(_KEY)
    return line if isinstance(line, Line) else None


def _is_known(cycle: object) -> bool:
    if type(cycle).__module__ != "uvicorn.protocols.http.httptools_impl":
        return False
    flow = getattr(cycle, "flow", None)
    transport = getattr(cycle, "transport", None)
    return (
        all(hasattr(cycle, name) for name in ("chunked_encoding", "disconnected", "response_complete"))
        and hasattr(flow, "write_paused")
        and hasattr(transport, "write")
        and hasattr(transport, "get_write_buffer_size")
        and hasattr(transport, "is_closing")
    )
