"""Traces, for who asks for them: a span for each commit, each append over HTTP, and each stream.

OpenTelemetry is imported only where :class:`Traces` are made. Without them nothing is observed and no layer
stands in the application; what a request tells of itself then finds no span.
"""

import logging
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

    from progress_ledger.ledger.ledger import Ledger

__all__ = ("Traces", "TracesExtraMissing", "Tracing", "answered", "failed", "note", "refused")

_logger = logging.getLogger("progress_ledger.api")

_KEY = "progress_ledger.span"
_TRACED = {
    "POST": ("/v1/runs", "/v1/runs/{run_id}/events", "/v1/events"),
    "GET": ("/v1/runs/{run_id}/stream", "/v1/stream"),
}


class TracesExtraMissing(Exception):
    """Traces were asked for, and the extra ``otel`` is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Traces need opentelemetry-api; install it with: pip install 'progress-ledger[otel]'"
        )


class Traces:
    """Begins spans at ``provider``, or at the process' own one when none is given, and exports none itself.

    A span holds no body, header, query, token or text of an exception. ``live`` is False when there was no
    provider yet: nothing is traced then, and costs nothing. Raises TracesExtraMissing.
    """

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        try:
            from opentelemetry import context, propagate, trace
        except ImportError:
            raise TracesExtraMissing from None
        self.live = not isinstance(provider or trace.get_tracer_provider(), trace.ProxyTracerProvider)
        if not self.live:
            _logger.warning("there will be no traces: OpenTelemetry has no tracer provider yet")
        self._trace, self._extract, self._nowhere = trace, propagate.extract, context.Context()
        self._tracer = trace.get_tracer("progress_ledger", version("progress-ledger"), provider)

    def watch(self, ledger: "Ledger") -> None:
        """A span for each commit of events by the ledger's writer from now on, in a trace of its own."""

        def observe(events: int, seconds: float) -> None:
            if not events:
                return
            end = time.time_ns()
            self._tracer.start_span(
                "progress_ledger.commit",
                context=self._nowhere,
                start_time=end - int(seconds * 1e9),
                attributes={"progress_ledger.events": events},
            ).end(end)

        ledger.observe_commits(observe)

    def begin(self, scope: Scope, path: str) -> "Span":
        """A span for a request to the route ``path``: below the span it is in already, else the caller's."""
        inside = self._trace.get_current_span().get_span_context().is_valid
        route = scope.get("root_path", "").rstrip("/") + path
        attributes = {
            "http.request.method": scope["method"],
            "http.route": route,
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
        }
        if scope.get("client"):
            attributes["client.address"] = scope["client"][0]
        return self._tracer.start_span(
            f"{scope['method']} {route}",
            context=None if inside else self._extract(Headers(scope=scope)),
            kind=self._trace.SpanKind.INTERNAL if inside else self._trace.SpanKind.SERVER,
            attributes=attributes,
        )


class Tracing:
    """The layer that holds a span while an append or a stream is answered; all else passes.

    A stream's ``send`` goes in as it came, so that a frame costs what it costs without. The span is not made
    the current one: timers that a stream begins would keep it after its end.
    """

    def __init__(self, app: ASGIApp, *, traces: Traces, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._traces = traces
        self._routes = {
            method: [route for route in routes if isinstance(route, Route) and route.path in paths]
            for method, paths in _TRACED.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = self._routes.get(scope["method"], ()) if scope["type"] == "http" else ()
        route = next((route for route in known if route.matches(scope)[0] is Match.FULL), None)
        if route is None:
            await self._app(scope, receive, send)
            return
        span = scope[_KEY] = self._traces.begin(scope, route.path)

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered(scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send if scope["method"] == "GET" else send_on)
        except BaseException as error:
            failed(scope, type(error).__qualname__)
            raise
        finally:
            # Whoever answers further out finds no span that is over.
            del scope[_KEY]
            span.end()


def note(scope: Scope, **facts: str | int | None) -> None:
    """Put ``progress_ledger.NAME`` on the request's span, if it has one; None says nothing."""
    if (span := _span_of(scope)) is not None:
        known = {f"progress_ledger.{name}": value for name, value in facts.items() if value is not None}
        span.set_attributes(known)


def answered(scope: Scope, status: int) -> None:
    """The request is answered with that HTTP status."""
    if (span := _span_of(scope)) is not None:
        span.set_attribute("http.response.status_code", status)


def refused(scope: Scope, status: int, code: str) -> None:
    """The request is answered with the problem ``code``, which from 500 on is an error."""
    answered(scope, status)
    note(scope, code=code)
    if status >= 500:
        failed(scope, code)


def failed(scope: Scope, kind: str) -> None:
    """The request's span ends as an error of that kind."""
    if (span := _span_of(scope)) is not None:
        from opentelemetry.trace import StatusCode

        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)


def _span_of(scope: Scope) -> "Span | None":
    return cast("Span | None", scope.get(_KEY))
