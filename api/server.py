"""The server process: a socket of our own, uvicorn on it, and a stop that loses nothing.

Where it departs from uvicorn's own way of running, on purpose:

* the listening socket is ours, with a small send buffer that connections inherit: with the kernel's default a
  reader that has stopped hides behind 17,000 stale events before anybody notices;
* the signals are ours: uvicorn waits for open streams and never tells them, so that one browser tab would
  keep the process alive for good. Here a signal first begins the drain, streams end themselves, and what
  still hangs after the grace is cut.
"""

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.sqlite.file import Durability
from progress_ledger.projections.projector import Projector

from .access.guard import is_loopback
from .access.limits import Limits
from .app import create_app
from .drain import Drain
from .problems import problem
from .streams.direct import Direct
from .streams.stream import StreamSettings
from .tokens import TokenFile, tokens_path
from .tracing import Traces
from .webhook import Webhook
from .webhooks import keep_telling

__all__ = ("GRACE", "Exposed", "bind", "bind_uds", "drain_on_signals", "serve", "serve_app", "url_of")

GRACE = 2.0
"""Seconds that open requests and streams have to end once the drain began."""

_SEND_BUFFER = 64 * 1024
_BACKLOG = 2048
_IDLE_SECONDS = 30


class Exposed(Exception):
    """The server was asked to answer beyond this machine, where everybody could do everything."""

    def __init__(self, option: str) -> None:
        super().__init__(
            f"{option} is open to other machines and there are no tokens yet; make one first: "
            "progress-ledger token new --role operator"
        )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises OSError that names the address."""
    try:
        return _bound(host, port)
    except OSError as error:
        told = error.strerror
        if error.errno == errno.EADDRINUSE:
            told = f"{told}; choose another --port (0 takes any free one)"
        raise OSError(error.errno, told, f"{host}:{port}") from error


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def bind_uds(path: str | Path) -> socket.socket:
    """A listening Unix socket at ``path``, for this user and group. One that nobody listens on any more is
    replaced. Raises OSError."""
    place = os.fspath(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if _is_left_over(place):
            os.unlink(place)
        listener.bind(place)
        os.chmod(place, 0o660)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, place) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _is_left_over(path: str) -> bool:
    if not Path(path).is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False


def url_of(listener: socket.socket) -> str:
    """``http://HOST:PORT`` of a listening socket, ``unix:PATH`` of a Unix socket."""
    if listener.family == getattr(socket, "AF_UNIX", None):
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve_app(
    app: ASGIApp, listener: socket.socket, *, drain: Drain, listening: Callable[[], None] = lambda: None
) -> None:
    """Answer on the socket until ``drain`` begins, then for at most the grace; the socket is closed on
    return.

    ``listening`` is called once requests are answered. Sets no signal handlers.
    """
    config = uvicorn.Config(
        _Cut(Direct(app)),
        http="httptools",
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=int(GRACE),
    )
    server = _Server(config, listening)

    async def stop() -> None:
        await drain.wait()
        server.should_exit = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        try:
            await server.serve(sockets=[listener])
        finally:
            server.cut()
            listener.close()
            tasks.cancel_scope.cancel()


async def serve(
    path: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | Path | None = None,
    allow_hosts: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
    trusted_proxies: Sequence[str] = (),
    limits: Limits | None = None,
    streams: StreamSettings | None = None,
    traces: Traces | None = None,
    webhooks: Sequence[Webhook] = (),
    durability: Durability = "power",
    beside: Sequence[Callable[[Ledger], Coroutine[Any, Any, None]]] = (),
    listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the ledger at ``path`` until SIGTERM or SIGINT, then drain and return with everything closed.

    ``listening`` is called with the URL once it answers. A second signal ends at once what is still open.
    What is in ``beside`` runs as long as the server does, with the ledger it serves.
    Beyond loopback, or called by a name in ``allow_hosts``, it answers only when there are tokens, which then
    are asked for. ``uds`` is a Unix socket in place of ``host`` and ``port``; file rights say who connects.
    ``trusted_proxies`` are addresses whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed.
    Raises Exposed when there are none, OSError when the address cannot be had, and what opening the ledger
    raises.
    """
    drain = Drain()
    tokens = TokenFile(tokens_path(path), time.time)
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(
            contextlib.closing(bind(host, port) if uds is None else bind_uds(uds))
        )
        if uds is not None:
            sockets.callback(Path(uds).unlink, missing_ok=True)
        url = url_of(listener)
        loopback = uds is not None or is_loopback(listener.getsockname()[0])
        if not any(token.valid(time.time()) for token in tokens.all()):
            if not loopback:
                raise Exposed(f"--host {host}")
            if beyond := [name for name in allow_hosts if not is_loopback(name)]:
                raise Exposed(f"--allow-host {beyond[0]}")
        async with AsyncExitStack() as stack:
            ledger = await stack.enter_async_context(Ledger.open(path, durability=durability))
            projector = await stack.enter_async_context(Projector.open(ledger))
            app: ASGIApp = create_app(
                ledger,
                projector,
                allow_hosts=allow_hosts,
                allow_origins=allow_origins,
                drain=drain,
                limits=limits,
                loopback_only=loopback,
                streams=streams,
                tokens=tokens,
                traces=traces,
            )
            if trusted_proxies:
                app = _behind(app, trusted_proxies)
            stack.enter_context(_settled_heap())
            async with anyio.create_task_group() as tasks:
                serving = anyio.CancelScope()
                await tasks.start(drain_on_signals, drain, serving)
                for webhook in webhooks:
                    tasks.start_soon(keep_telling, ledger, projector, webhook)
                for work in beside:
                    tasks.start_soon(work, ledger)
                with serving:
                    await serve_app(app, listener, drain=drain, listening=lambda: listening(url))
                tasks.cancel_scope.cancel()


@contextlib.contextmanager
def _settled_heap() -> Generator[None, None, None]:
    # What is there at the start stays. Left to the cycle collector, it would be gone through again and again
    # while requests wait: 40 ms each time, and once in some ten thousand folded runs. And a round through
    # what is young would take 2 to 5 ms; three times as many take a third each.
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(before[0], 3, 33)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _behind(app: ASGIApp, proxies: Sequence[str]) -> ASGIApp:
    # uvicorn's types of ASGI are narrower than Starlette's: the same functions, told twice.
    wrapped: Any = ProxyHeadersMiddleware(cast("Any", app), trusted_hosts=list(proxies))
    return cast("ASGIApp", wrapped)


async def drain_on_signals(
    drain: Drain,
    serving: anyio.CancelScope,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Begin the drain at the first SIGTERM or SIGINT, cancel ``serving`` at the second.

    It has started when the signals are heard: one that came earlier would end the process as it stands.
    """
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            if drain.begun:
                serving.cancel()
            drain.begin()


class _Cut:
    # uvicorn cancels what outlasts the grace, and would log a traceback for each request that it cut.
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # `send` goes in as it came: streams look at whose it is.
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            detail = "The server stopped before the request was whole; send it again."
            with contextlib.suppress(RuntimeError):  # an answer had begun already
                await problem(503, "unavailable", detail)(scope, receive, send)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    def cut(self) -> None:
        """Close what is still open, whoever is in the middle of something."""
        if self.started:
            for listening in self.servers:
                listening.close()
        for connection in list(self.server_state.connections):
            transport: asyncio.Transport = connection.transport
            transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
