"""``GET /v1/runs/{id}/stream`` and ``GET /v1/stream`` as bare ASGI: the head, the body, and its end.

Not through a StreamingResponse, on purpose: that costs a task group and twice the memory for each stream.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from progress_ledger.ledger.door import check_run_id
from progress_ledger.ledger.errors import InvalidRun, Pruned, RunNotFound, Unavailable
from progress_ledger.ledger.log import RunFilter

from ..access.rights import access_of
from ..filters import run_filter
from ..problems import Refusal, problem_of
from ..service import Service
from ..tracing import answered, note
from . import sse
from .conflate import parse_every
from .direct import Line, line_of
from .fanout import Fanout, FanoutStatistics
from .following import Request, follow, retell, retry_ms
from .reader import Reader
from .resume import decide

__all__ = ("StreamSettings", "Streams")

_CHECK_SECONDS = 15.0
_TOKEN_CHECK_SECONDS = 0.25
"""How often a stream that waits is looked at: often when it ends with a token that may be revoked."""


class StreamSettings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``replay_limit``: how many missed events are replayed before a snapshot takes their place.
    ``max_streams``: beyond it readers are told ``busy``.
    ``keep_alive``: seconds of silence before a sign of life.
    ``patience``: seconds to wait for a log that is being caught up with before a reader is told ``busy``.
    ``tail_frames``: how many of a stream's newest frames stay in memory; older ones are read from the log.
    ``tail_bytes``: memory for them over all streams, about.
    """

    replay_limit: int = 1_000
    max_streams: int = 10_000
    keep_alive: float = 15.0
    patience: float = 2.0
    tail_frames: int = 2_048
    tail_bytes: int = 64_000_000


class Streams:
    """All streams of a service, fed by its projector and ended when its ``drain`` begins."""

    def __init__(self, service: Service, settings: StreamSettings) -> None:
        self._service = service
        self._settings = settings
        self._open = 0
        self._fanout = Fanout(
            service.projector,
            epoch=service.ledger.epoch,
            clock=service.ledger.clock,
            busy=lambda: service.ledger.busy,
            tail_frames=settings.tail_frames,
            tail_bytes=settings.tail_bytes,
            keep_alive=settings.keep_alive,
        )
        service.projector.follow(self._fanout)
        service.drain.listen(self._fanout.drain)

    @property
    def statistics(self) -> FanoutStatistics:
        """Streams open, topics held, frames encoded."""
        return self._fanout.statistics

    def routes(self) -> list[Route]:
        """The two addresses, without a prefix."""
        return [
            Route("/v1/runs/{run_id}/stream", _Endpoint(self.one)),
            Route("/v1/stream", _Endpoint(self.many)),
        ]

    async def one(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The stream of one run."""
        run_id = str(scope["path_params"]["run_id"])
        query = QueryParams(scope["query_string"])
        try:
            check_run_id(run_id)
        except InvalidRun:
            raise RunNotFound(run_id) from None
        note(scope, run_id=run_id)
        request = self._request(scope, query, run_id, RunFilter(run_ids=frozenset((run_id,))))
        body = _Body(scope, receive, send)
        projector = self._service.projector
        with anyio.fail_after(self._settings.patience):
            # All that lies before, not only this run: the stream goes on from where the fold is.
            await projector.caught_up()
            state = projector.peek(run_id) or await projector.state(run_id)
        if state is None or not access_of(scope).sees(state.kind):
            raise RunNotFound(run_id)
        if state.finished_at is None:
            await self._serve(request, body)
            return
        head = await self._service.ledger.log.run(run_id)
        if head is not None and head.pruned is not None:
            raise Pruned(run_id, head.pruned or None)
        decision = decide(request.last_event_id, epoch=self._fanout.epoch, head=projector.position)
        if decision.status == "resumed" and decision.position >= state.position:
            await body.nothing()
        elif body.head_only:
            await body.only(b"")
        else:
            await retell(request, self._fanout, self._service.ledger.log, state, body, decision)
            await body.end()

    async def many(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The stream of all runs that match the filters."""
        query = QueryParams(scope["query_string"])
        request = self._request(scope, query, None, access_of(scope).narrowed(run_filter(query)))
        with anyio.fail_after(self._settings.patience):
            await self._service.projector.caught_up()
        await self._serve(request, _Body(scope, receive, send))

    def _request(self, scope: Scope, query: QueryParams, run_id: str | None, where: RunFilter) -> Request:
        fields = query.get("fields")
        if fields not in (None, "changed", "full"):
            raise Refusal(
                400, "malformed", f"fields {fields[:40]!r} is not understood; use full.", field="fields"
            )
        every = query.get("every")
        interval = None
        if every is not None:
            try:
                interval = parse_every(every)
            except ValueError:
                detail = f"every {every[:40]!r} is not understood; use 100ms to 60s, as in 250ms."
                raise Refusal(400, "malformed", detail, field="every") from None
        header = next((value for name, value in scope["headers"] if name == b"last-event-id"), b"")
        return Request(
            run_id=run_id,
            where=where,
            mode="full" if fields == "full" or interval is not None else "change",
            every=interval,
            last_event_id=header.decode("latin-1") or query.get("last_event_id") or query.get("lastEventId"),
            replay_limit=self._settings.replay_limit,
            check_seconds=_CHECK_SECONDS if access_of(scope).token is None else _TOKEN_CHECK_SECONDS,
        )

    async def _serve(self, request: Request, body: "_Body") -> None:
        # No await between the caller's look at the projector and the first step of follow().
        if body.head_only:
            await body.only(b"")
            return
        if self._fanout.draining or self._open >= self._settings.max_streams:
            await body.busy("stopping" if self._fanout.draining else "too_many_streams")
            return
        log = self._service.ledger.log
        access, tokens = access_of(body.scope), self._service.tokens

        def valid() -> bool:
            return tokens is None or tokens.still(access)

        reader = Reader(alone=request.run_id is not None, wire=line_of(body.scope))
        following = partial(follow, request, self._fanout, log, reader, body, valid=valid)
        refused: Unavailable | Pruned | None = None
        self._open += 1
        try:
            if reader.wire is not None:
                await following()
            else:
                refused = await _watched(following, body, reader)
        except (Unavailable, Pruned) as error:
            refused = error
        finally:
            self._open -= 1
        if refused is not None and not body.begun:
            raise refused
        # Cut short in the middle by trouble with the log, too: the reader comes back with its cursor. And the
        # server whose own line this is logs an error for a response without an end, though nobody is there.
        if not reader.gone or reader.wire is not None:
            await body.end()


async def _watched(
    following: Callable[[], Awaitable[None]], body: "_Body", reader: Reader
) -> Unavailable | Pruned | None:
    # Most servers tell only a task that asks for it that the other side is gone. What is raised is handed
    # back, as a task group would wrap it.
    refused: Unavailable | Pruned | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(body.watch, reader)
        try:
            await following()
        except (Unavailable, Pruned) as error:
            refused = error
        tasks.cancel_scope.cancel()
    return refused


class _Endpoint:
    # Starlette takes an instance for an ASGI application, and calls it for every method.
    def __init__(self, serve: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            refusal = problem_of(Refusal(405, "method_not_allowed", "A stream takes GET or HEAD."))
            refusal.headers["Allow"] = "GET, HEAD"
            await refusal(scope, receive, send)
            return
        try:
            await self._serve(scope, receive, send)
        except (Unavailable, TimeoutError):
            # Trouble that passes, before anything was sent. A 5xx would end a browser's EventSource for good.
            await _Body(scope, receive, send).busy("not_ready")
        except (RunNotFound, Pruned, Refusal) as error:
            await problem_of(error)(scope, receive, send)


class _Body:
    """The response as it is sent: the head with the first bytes, so that nothing is promised too early."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.head_only = scope["method"] == "HEAD"
        self.begun = False
        self.line: Line | None = None
        self._resets = 0
        self._receive = receive
        self._send = send

    def greet(self, status: str, reason: str | None) -> None:
        """Put on the request's span how the stream began, later how often it began anew."""
        if self.begun:
            self._resets += 1
            note(self.scope, stream_resets=self._resets)
        else:
            note(self.scope, stream_status=status, stream_reason=reason)

    async def write(self, chunk: bytes) -> None:
        """Send the head when that is due, and ``chunk``. Waits while the reader is slow."""
        first = not self.begun
        await self._begin()
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        if first:
            line = line_of(self.scope)
            self.line = line if line is not None and line.proven(chunk) else None

    async def end(self) -> None:
        """A clean end: a body that is cut off keeps some clients from coming back."""
        await self._begin()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def only(self, chunk: bytes) -> None:
        """The whole body at once."""
        await self._begin()
        await self._send(
            {"type": "http.response.body", "body": b"" if self.head_only else chunk, "more_body": False}
        )

    async def busy(self, reason: str) -> None:
        """Come back later. The whole body at once."""
        note(self.scope, stream_status="busy", stream_reason=reason)
        await self.only(sse.busy(reason=reason, retry_ms=retry_ms()))

    async def nothing(self) -> None:
        """204: nothing will come any more, which stops a browser's EventSource."""
        answered(self.scope, 204)
        headers = [(b"cache-control", b"no-store")]
        await self._send({"type": "http.response.start", "status": 204, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def watch(self, reader: Reader) -> None:
        """Notice that the other side is gone, also while nothing is sent."""
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await self._receive()
        reader.leave()

    async def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            answered(self.scope, 200)
            await self._send({"type": "http.response.start", "status": 200, "headers": list(sse.HEADERS)})
