"""A small HTTP client for the command line: the same requests to a server, or to a ledger file in this
process.

The plain install brings no HTTP client. What a command needs is little: one request a connection, a body
read as it comes. Asking a file goes through the very same application, so that both give the same answers.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import anyio
import httptools
import msgspec
from anyio.abc import ByteReceiveStream, ByteStream, ObjectReceiveStream
from starlette.types import ASGIApp, Message, Scope

__all__ = (
    "AppTransport",
    "ConnectionLost",
    "Refused",
    "Reply",
    "SocketTransport",
    "Transport",
    "get",
    "raise_for_problem",
    "split_url",
)

_CONNECT_SECONDS = 10.0

_problem = msgspec.json.Decoder(dict[str, object])


class Refused(Exception):
    """The ledger answered with a problem: its ``code``, its ``status``, and its sentence as the text."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class ConnectionLost(Exception):
    """The server cannot be reached, or went away in the middle of an answer."""


class Reply:
    """An answer: ``status``, ``headers`` with lower-case names, and the body part by part, once."""

    def __init__(self, status: int, headers: Mapping[str, str], parts: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self._parts = parts

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body. Raises ConnectionLost when it ends too early."""
        return self._parts

    async def read(self) -> bytes:
        """The whole body. Raises ConnectionLost."""
        return b"".join([part async for part in self._parts])


class Transport(Protocol):
    """Where requests go."""

    def request(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Reply]:
        """Send a request for ``target`` (path and query); leaving the block drops the connection.

        Raises ConnectionLost.
        """
        ...


async def get(transport: Transport, target: str) -> bytes:
    """The body of a successful GET. Raises Refused or ConnectionLost."""
    async with transport.request("GET", target) as reply:
        body = await reply.read()
    raise_for_problem(reply.status, body)
    return body


def raise_for_problem(status: int, body: bytes) -> None:
    """Raise Refused when the status is not one of success."""
    if status < 400:
        return
    try:
        problem = _problem.decode(body)
    except msgspec.MsgspecError:
        problem = {}
    code = str(problem.get("code", "refused"))
    detail = str(problem.get("detail") or f"The server answered {status}; is it a progress-ledger server?")
    raise Refused(status, code, detail)


class SocketTransport:
    """Requests to a server at ``url``, each on a connection of its own, with ``token`` when there is one."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        parts = split_url(url)
        self._token = token
        self.url = url.rstrip("/")
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path.rstrip("/")

    @asynccontextmanager
    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Reply, None]:
        fields = {"Host": self._authority, "Connection": "close", **(headers or {})}
        if self._token is not None:
            fields["Authorization"] = f"Bearer {self._token}"
        if method == "POST":
            fields["Content-Length"] = "0"
        head = f"{method} {self._prefix}{target} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        try:
            with anyio.fail_after(_CONNECT_SECONDS):
                stream: ByteStream = (
                    await anyio.connect_tcp(self._host, self._port, tls=True)
                    if self._tls
                    else await anyio.connect_tcp(self._host, self._port)
                )
                await stream.send(head.encode("latin-1"))
        except (OSError, TimeoutError, anyio.BrokenResourceError) as error:
            raise ConnectionLost(f"There is no server at {self.url}: {_reason(error)}.") from error
        async with stream:
            answer = _Answer(stream)
            await answer.head()
            yield Reply(answer.status, answer.headers, answer.parts())


class _Answer:
    # Callbacks of the parser; their names are httptools'.
    def __init__(self, stream: ByteReceiveStream) -> None:
        self._stream = stream
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: list[bytes] = []
        self._complete = False
        self._has_head = False
        self.status = 0
        self.headers: dict[str, str] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        self._waiting.append(body)

    def on_message_complete(self) -> None:
        self._complete = True

    async def head(self) -> None:
        while not self._has_head:
            await self._feed()

    async def parts(self) -> AsyncIterator[bytes]:
        while True:
            waiting, self._waiting = self._waiting, []
            for part in waiting:
                yield part
            if self._complete and not self._waiting:
                return
            if not self._waiting:
                await self._feed()

    async def _feed(self) -> None:
        try:
            self._parser.feed_data(await self._stream.receive(65_536))
        except anyio.EndOfStream:
            raise ConnectionLost("The server closed the connection in the middle of its answer.") from None
        except (anyio.BrokenResourceError, OSError) as error:
            raise ConnectionLost("The connection to the server broke.") from error
        except httptools.HttpParserError as error:
            raise ConnectionLost("What answered is no HTTP server.") from error


class AppTransport:
    """Requests to an application in this process, without a socket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    @asynccontextmanager
    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Reply, None]:
        give, take = anyio.create_memory_object_stream[Message](1)
        left = anyio.Event()
        asked = False

        async def receive() -> Message:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def run() -> None:
            async with give:
                await self._app(_scope(method, target, headers or {}), receive, give.send)

        async with anyio.create_task_group() as tasks, take:
            tasks.start_soon(run)
            start = await take.receive()
            fields = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]
            }
            try:
                yield Reply(start["status"], fields, _bodies(take))
            finally:
                left.set()
                tasks.cancel_scope.cancel()


async def _bodies(messages: ObjectReceiveStream[Message]) -> AsyncIterator[bytes]:
    async for message in messages:
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body", False):
            return
    raise ConnectionLost("The answer ended before its end.")


def _scope(method: str, target: str, headers: Mapping[str, str]) -> Scope:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
        ],
        "client": None,
        "server": ("localhost", 80),
    }


def split_url(url: str) -> SplitResult:
    """The parts of a server's URL. Raises ValueError, with a sentence for people, when it is none."""
    with suppress(ValueError):  # of a port or an address that cannot be, without a word for people
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise ValueError(f"{url!r} is no URL of a server; write http://HOST:PORT.")


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
