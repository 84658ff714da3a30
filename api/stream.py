"""``GET /v1/runs/{id}/stream`` and ``GET /v1/stream`` as bare ASGI: the head, the body, and its end.

Not through a StreamingResponse, on purpose: that costs a task group and twice the memory for each stream.
"""

from collections.abc import Awaitable, Callable

import anyio
from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from progress_ledger.ledger.codec import ascii_json
from progress_ledger.ledger.door import check_run_id
from progress_ledger.ledger.errors import InvalidRun, Pruned, RunNotFound, Unavailable
from progress_ledger.ledger.log import RunFilter
from progress_ledger.projections import RunState, view

from . import sse
from .conflate import parse_every
from .fanout import Client, Fanout, FanoutStatistics, Mode
from .filters import run_filter
from .following import Request, follow, retry_ms
from .problems import Refusal, problem_of
from .replay import missed_by_run
from .resume import decide
from .service import Service

__all__ = ("StreamSettings", "Streams")


class StreamSettings(Struct, kw_only=True, frozen=True):
    """``replay_limit``: how many missed events are replayed before a snapshot takes their place.
    ``max_streams``: beyond it clients are told ``busy``.
    ``keep_alive``: seconds of silence before a sign of life.
    """

    replay_limit: int = 1_000
    max_streams: int = 10_000
    keep_alive: float = 15.0


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
            tail_frames=max(2_048, settings.replay_limit),
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
        request = self._request(scope, query, run_id, RunFilter(run_ids=frozenset((run_id,))))
        body = _Body(scope, receive, send)
        try:
            state = await self._service.projector.state(run_id)
        except Unavailable:
            await body.only(sse.busy(reason="not_ready", retry_ms=retry_ms()))
            return
        if state is None or not may_see(scope, state):
            raise RunNotFound(run_id)
        if state.finished_at is not None:
            await self._over(request, state, body)
            return
        await self._follow(request, body)

    async def many(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The stream of all runs that match the filters."""
        query = QueryParams(scope["query_string"])
        request = self._request(scope, query, None, run_filter(query))
        body = _Body(scope, receive, send)
        try:
            await self._service.projector.caught_up()
        except Unavailable:
            await body.only(sse.busy(reason="not_ready", retry_ms=retry_ms()))
            return
        await self._follow(request, body)

    def _request(self, scope: Scope, query: QueryParams, run_id: str | None, where: RunFilter) -> Request:
        every = query.get("every")
        fields = query.get("fields")
        if fields not in (None, "changed", "full"):
            raise Refusal(400, "malformed", f"fields {fields!r} is not understood; use full.", field="fields")
        mode: Mode = "change" if fields != "full" else "full"
        interval = None
        if every is not None:
            mode = "paced"
            try:
                interval = parse_every(every)
            except ValueError:
                detail = f"every {every!r} is not understood; use a duration such as 250ms or 2s."
                raise Refusal(400, "malformed", detail, field="every") from None
        header = next((value for name, value in scope["headers"] if name == b"last-event-id"), b"")
        return Request(
            run_id=run_id,
            where=where,
            mode=mode,
            every=interval,
            last_event_id=header.decode("latin-1") or query.get("last_event_id") or query.get("lastEventId"),
            replay_limit=self._settings.replay_limit,
            keep_alive=self._settings.keep_alive,
        )

    async def _follow(self, request: Request, body: "_Body") -> None:
        if body.head_only:
            await body.only(b"")
        elif self._fanout.draining or self._open >= self._settings.max_streams:
            reason = "stopping" if self._fanout.draining else "too_many_streams"
            await body.only(sse.busy(reason=reason, retry_ms=retry_ms()))
        else:
            self._open += 1
            try:
                await self._serve(request, body)
            finally:
                self._open -= 1

    async def _serve(self, request: Request, body: "_Body") -> None:
        client = Client()
        # No await between the look at the projector and the first step of follow().
        following = follow(
            request, self._fanout, self._service.ledger.log, client, body.write, valid=validity(body.scope)
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(body.watch, client)
            await following
            tasks.cancel_scope.cancel()
        await body.end()

    async def _over(self, request: Request, state: RunState, body: "_Body") -> None:
        # A run that is over: what is left to say is known, and then the response ends.
        log = self._service.ledger.log
        fanout = self._fanout
        head = await log.run(state.run_id)
        if head is not None and head.pruned is not None:
            raise Pruned(state.run_id, head.pruned or None)
        decision = decide(request.last_event_id, epoch=fanout.epoch, head=self._service.projector.position)
        if decision.status == "resumed" and decision.position >= state.position:
            await body.nothing()
            return
        entries = None
        if decision.status == "resumed":
            entries = await missed_by_run(
                log,
                self._service.projector,
                state,
                after=decision.position,
                through=state.position,
                limit=request.replay_limit,
                mode=request.mode,
            )
            if entries is None:
                decision = decision._replace(status="reset", reason="too_old")
        frames = [
            sse.hello(
                status=decision.status,
                reason=decision.reason,
                epoch=fanout.epoch,
                head=self._service.projector.position,
                retry_ms=retry_ms(),
            )
        ]
        if entries is None:
            snapshot = view(state, self._service.ledger.clock())
            frames.append(sse.frame("snapshot", b'{"run":%b}' % ascii_json(snapshot)))
            entries = await missed_by_run(
                log,
                self._service.projector,
                state,
                after=state.position - 1,
                through=state.position,
                limit=1,
                mode=request.mode,
            )
        frames.extend(entry.frame for entry in entries or () if request.every is None or entry.final)
        await body.only(b"".join(frames))


def may_see(scope: Scope, state: RunState) -> bool:
    """Whether the caller may know of the run."""
    kinds = visible_kinds(scope)
    return kinds is None or state.kind in kinds


def visible_kinds(scope: Scope) -> frozenset[str] | None:
    """The kinds the caller may know of; None when all."""
    return None


def validity(scope: Scope) -> Callable[[], bool]:
    """Whether the caller may go on following, asked again and again."""
    return lambda: True


class _Endpoint:
    # Starlette takes an instance for an ASGI application, and calls it for every method.
    def __init__(self, serve: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            refusal = Refusal(405, "method_not_allowed", "A stream takes GET or HEAD.")
            await problem_of(refusal)(scope, receive, send)
            return
        try:
            await self._serve(scope, receive, send)
        except (RunNotFound, Pruned, Refusal, Unavailable) as error:
            await problem_of(error)(scope, receive, send)


class _Body:
    """The response as it is sent: the head with the first bytes, so that nothing is promised too early."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.head_only = scope["method"] == "HEAD"
        self._receive = receive
        self._send = send
        self._begun = False

    async def write(self, chunk: bytes) -> None:
        """Send the head when that is due, and ``chunk``. Waits while the reader is slow."""
        await self._begin()
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

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

    async def nothing(self) -> None:
        """204: nothing will come any more, which stops a browser's EventSource."""
        headers = [(b"cache-control", b"no-store")]
        await self._send({"type": "http.response.start", "status": 204, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def watch(self, client: Client) -> None:
        """Notice that the other side is gone, also while nothing is sent."""
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await self._receive()
        client.leave()

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": list(sse.HEADERS)})
