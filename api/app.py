"""The application: every route, behind the guard, with every error as a problem."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from progress_ledger.ledger.errors import LedgerError, SlotTaken
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector

from .access import auth
from .access.auth import Authentication
from .access.guard import Guard
from .access.limiting import Limiting, by_address, by_token
from .access.limits import Accounts, Limits
from .access.rights import access_of
from .drain import Drain
from .edge import Edge
from .problems import Refusal, problem, problem_of
from .routes import badge, health, ingest, kinds, listing, log, metrics, openapi, pages, run_events, runs
from .service import Service
from .streams.stream import Streams, StreamSettings
from .tokens import TokenFile
from .tracing import Traces, Tracing

__all__ = ("create_app",)

_PREFLIGHT_SECONDS = 600


def create_app(
    ledger: Ledger,
    projector: Projector,
    *,
    allow_hosts: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
    drain: Drain | None = None,
    limits: Limits | None = None,
    loopback_only: bool = False,
    streams: StreamSettings | None = None,
    tokens: TokenFile | None = None,
    traces: Traces | None = None,
) -> Starlette:
    """The whole API over an open ledger and its projector, ready to be served or mounted under any prefix.

    It neither opens nor closes them. ``drain`` is begun by whoever stops the server, so that streams end
    cleanly. ``loopback_only`` refuses every ``Host`` but loopback names: for a server that is
    bound to loopback. Once there is a token in ``tokens``, every address asks for one. ``limits`` holds
    for each token, and for each address that is not this machine's own. ``allow_hosts`` are names that
    ``loopback_only`` lets through. Pages of ``allow_origins`` may use the API from a browser; it never takes
    the cookie along from there. ``traces`` begin spans for commits, appends and streams; without them there
    are none.
    """
    service = Service(ledger, projector, drain or Drain(), tokens)
    accounts = Accounts(limits or Limits())
    following = Streams(service, streams or StreamSettings())
    routes = [
        # Looked through in this order, so what is asked most comes first.
        *listing.routes(service),
        *runs.routes(service),
        *following.routes(),
        *run_events.routes(service),
        *kinds.routes(service),
        *ingest.routes(service),
        *health.routes(service),
        *auth.routes(tokens),
        *log.routes(service),
        *badge.routes(service),
        *metrics.routes(service, following),
        *openapi.routes(),
        *pages.routes(),
    ]
    layers = []
    if traces is not None and traces.live:
        traces.watch(ledger)
        layers = [Middleware(Tracing, traces=traces, routes=routes)]
    return Starlette(
        routes=routes,
        middleware=[
            *layers,
            Middleware(Edge),
            Middleware(Guard, loopback_only=loopback_only, hosts=allow_hosts, origins=allow_origins),
            *([_cors(allow_origins)] if allow_origins else []),
            Middleware(Limiting, accounts=accounts, key=by_address),
            Middleware(Authentication, tokens=tokens),
            Middleware(Limiting, accounts=accounts, key=by_token),
        ],
        exception_handlers={
            SlotTaken: _slot_taken(service),
            LedgerError: _refused,
            Refusal: _refused,
            HTTPException: _refused,
            405: _no_such_method,
            ClientDisconnect: _refused,
        },
    )


def _cors(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match", "Last-Event-ID"],
        expose_headers=["ETag", "Location", "Retry-After"],
        max_age=_PREFLIGHT_SECONDS,
    )


async def _refused(request: Request, error: Exception) -> Response:
    return problem_of(error)


async def _no_such_method(request: Request, error: Exception) -> Response:
    # Several routes share a path, and the router names the methods of the first one only.
    response = problem_of(error)
    allowed = {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _slot_taken(service: Service) -> Callable[[Request, Exception], Awaitable[Response]]:
    # Over HTTP the holder is shown as everybody sees it, so that a client can go on to follow it.
    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, SlotTaken)
        if not access_of(request.scope).sees(error.run.kind):
            return problem(409, error.code, f"Slot {error.slot!r} is held.", {"slot": error.slot})
        holder = await service.projector.snapshot(error.run.run_id)
        fields = error.fields()
        return problem(409, error.code, str(error), fields if holder is None else {**fields, "run": holder})

    return answer
