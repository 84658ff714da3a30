"""Traces: a span for each commit, append and stream; nothing secret in them, nothing at all when off."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from progress_ledger.api.access.limits import Limits
from progress_ledger.api.app import create_app
from progress_ledger.api.drain import Drain
from progress_ledger.api.server import bind, serve_app
from progress_ledger.api.streams.stream import StreamSettings
from progress_ledger.api.tokens import TokenFile
from progress_ledger.api.tracing import Traces, TracesExtraMissing
from progress_ledger.ledger.errors import RunEnded
from progress_ledger.ledger.events import Completed, RunSpec, Ticked
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.projections.projector import Projector
from tests.api.asking import BOUND, environment, program, serving
from tests.api.streaming import Connection, parse

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


class Traced:
    """An application whose spans are kept."""

    def __init__(self, ledger: Ledger, projector: Projector, **options: Any) -> None:
        self.ledger = ledger
        self.drain = Drain()
        self.kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.app: ASGIApp = create_app(
            ledger, projector, drain=self.drain, traces=Traces(self.provider), **options
        )

    def http(self, app: ASGIApp | None = None, address: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app or self.app, client=(address, 4711))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def spans(self, kind: str = "") -> list[ReadableSpan]:
        """The spans that are over and whose name ends so."""
        return [span for span in self.kept.get_finished_spans() if span.name.endswith(kind)]

    def one(self, kind: str) -> ReadableSpan:
        (found,) = self.spans(kind)
        return found


@contextlib.asynccontextmanager
async def traced(path: Path, **options: Any) -> AsyncIterator[Traced]:
    async with (
        Ledger.open(path / "p.db", durability="process") as ledger,
        Projector.open(ledger) as projector,
    ):
        yield Traced(ledger, projector, **options)


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def get(path: str) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "http_version": "1.1",
        "path": path,
        "query_string": b"",
        "headers": [],
    }


async def test_an_append_is_a_span_below_its_caller(tmp_path: Path) -> None:
    async with traced(tmp_path) as here, here.http() as http:
        begun = await http.post("/v1/runs", json={"kind": "k", "run_id": "r-1"}, headers=TRACEPARENT)
        assert begun.status_code == 201
        body = {"events": [{"type": "ticked", "data": {"done": 1}}, {"type": "ticked", "data": {"done": 2}}]}
        assert (await http.post("/v1/runs/r-1/events", json=body, headers=TRACEPARENT)).status_code == 201
        made, appended = here.one("POST /v1/runs"), here.one("/events")
        for span in (made, appended):
            assert span.kind is SpanKind.SERVER
            assert span.status.status_code is StatusCode.UNSET
            assert span.context is not None
            assert span.parent is not None
            assert trace.format_trace_id(span.context.trace_id) == TRACE
            assert trace.format_span_id(span.parent.span_id) == CALLER
        assert facts(made) == {
            "http.request.method": "POST",
            "http.route": "/v1/runs",
            "url.path": "/v1/runs",
            "url.scheme": "http",
            "network.protocol.version": "1.1",
            "client.address": "127.0.0.1",
            "http.response.status_code": 201,
            "progress_ledger.run_id": "r-1",
            "progress_ledger.events": 1,
        }
        assert appended.name == "POST /v1/runs/{run_id}/events"
        assert facts(appended)["url.path"] == "/v1/runs/r-1/events"
        assert facts(appended)["progress_ledger.events"] == 2
        again = await http.post("/v1/runs", json={"kind": "k", "run_id": "r-1"})
        assert again.status_code == 200
        last = here.spans("POST /v1/runs")[-1]
        assert last.parent is None
        assert (facts(last)["progress_ledger.events"], facts(last)["http.response.status_code"]) == (0, 200)


async def test_lines_tell_how_many_were_stored_and_refused(tmp_path: Path) -> None:
    async with traced(tmp_path) as here, here.http() as http:
        spec, end = {"type": "started", "data": {"kind": "k"}}, {"type": "completed"}
        lines = [{"run_id": "a", **event} for event in (spec, end)]
        text = "\n".join(["no", *map(json.dumps, lines)])
        reply = await http.post("/v1/events", content=text)
        assert reply.json()["accepted"] == 2
        told = facts(here.one("POST /v1/events"))
        assert (told["progress_ledger.events"], told["progress_ledger.lines_refused"]) == (2, 1)
        assert told["http.response.status_code"] == 200


async def test_each_commit_is_a_span_of_its_own_with_its_time(tmp_path: Path) -> None:
    async with traced(tmp_path) as here:
        seen: list[tuple[int, float]] = []
        here.ledger.observe_commits(lambda events, seconds: seen.append((events, seconds)))
        before = time.time_ns()
        with here.provider.get_tracer("job").start_as_current_span("job"):
            await here.ledger.create(RunSpec(kind="k"), run_id="r")
            await here.ledger.append("r", [Ticked(done=1), Ticked(done=2), Completed()])
            with pytest.raises(RunEnded):
                await here.ledger.append("r", [Ticked(done=3)])
        spans = here.spans("progress_ledger.commit")
        assert [facts(span) for span in spans] == [{"progress_ledger.events": n} for n in (1, 3)]
        seen = [commit for commit in seen if commit[0]]
        for span, (_, seconds) in zip(spans, seen, strict=True):
            assert span.parent is None
            assert span.start_time is not None
            assert span.end_time is not None
            assert span.end_time - span.start_time == int(seconds * 1e9)
            assert before <= span.end_time <= time.time_ns()


async def test_a_refusal_is_told_by_its_code_and_is_no_error(tmp_path: Path) -> None:
    async with traced(tmp_path) as here, here.http() as http:
        body = {"events": [{"type": "ticked", "data": {"done": 1}}]}
        assert (await http.post("/v1/runs/nope/events", json=body)).status_code == 404
        assert (await http.post("/v1/runs", content=b"{")).status_code == 400
        assert (await http.get("/v1/runs/nope/stream")).status_code == 404
        unknown, malformed, stream = here.spans()
        for span, code, status in (
            (unknown, "run_not_found", 404),
            (malformed, "malformed", 400),
            (stream, "run_not_found", 404),
        ):
            assert facts(span)["progress_ledger.code"] == code
            assert facts(span)["http.response.status_code"] == status
            assert span.status.status_code is StatusCode.UNSET
            assert "error.type" not in facts(span)


async def test_who_is_not_let_in_is_seen_too(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens", time.time)
    tokens.make("operator")
    async with traced(tmp_path, tokens=tokens, limits=Limits(requests_burst=1)) as here:
        async with here.http(address="192.0.2.7") as http:
            assert (await http.post("/v1/runs", json={"kind": "k"})).status_code == 401
            assert (await http.post("/v1/runs", json={"kind": "k"})).status_code == 429
            assert (await http.get("/v1/stream")).status_code == 200
        refused = [facts(span).get("progress_ledger.code") for span in here.spans("POST /v1/runs")]
        assert refused == ["unauthorized", "too_many_requests"]
        told = facts(here.one("/v1/stream"))
        assert told["progress_ledger.stream_status"] == "busy"
        assert told["progress_ledger.stream_reason"] == "too_many_requests"


async def test_what_nobody_foresaw_is_an_error_of_its_class_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with traced(tmp_path) as here, here.http() as http:

        async def breaks(*_: object, **__: object) -> None:
            raise ZeroDivisionError("secret")

        monkeypatch.setattr(here.ledger, "create", breaks)
        assert (await http.post("/v1/runs", json={"kind": "k"})).status_code == 500
        span = here.one("POST /v1/runs")
        assert span.status.status_code is StatusCode.ERROR
        assert facts(span)["error.type"] == "ZeroDivisionError"
        assert facts(span)["http.response.status_code"] == 500
        assert "secret" not in span.to_json()


async def test_a_stream_is_a_span_from_its_opening_to_its_end(tmp_path: Path) -> None:
    async with traced(tmp_path) as here:
        listener = bind("127.0.0.1", 0)
        port = listener.getsockname()[1]
        await here.ledger.create(RunSpec(kind="k"), run_id="r")
        async with anyio.create_task_group() as tasks, httpx.AsyncClient() as http:

            async def serve() -> None:
                await serve_app(here.app, listener, drain=here.drain)

            tasks.start_soon(serve)
            received = b""
            url = f"http://127.0.0.1:{port}/v1/runs/r/stream"
            with anyio.fail_after(BOUND):
                async with http.stream("GET", url, headers=TRACEPARENT) as reply:
                    async for part in reply.aiter_bytes():
                        if not received:
                            assert not here.spans("/stream")
                            await here.ledger.append("r", [Ticked(done=1), Completed()])
                        received += part
                cursor = parse(received)[0][1].id
                assert cursor is not None
                await http.get(url, headers={"last-event-id": cursor})
                await http.get(url, headers={"last-event-id": "0123456789abcdef-7"})
                last = parse(received)[0][-1].id
                assert last is not None
                assert (await http.get(url, headers={"last-event-id": last})).status_code == 204
            here.drain.begin()
        spans = here.spans("GET /v1/runs/{run_id}/stream")
        begun = [
            (
                facts(span)["http.response.status_code"],
                facts(span).get("progress_ledger.stream_status"),
                facts(span).get("progress_ledger.stream_reason"),
            )
            for span in spans
        ]
        assert begun == [
            (200, "new", None),
            (200, "resumed", None),
            (200, "reset", "epoch"),
            (204, None, None),
        ]
        assert all(facts(span)["progress_ledger.run_id"] == "r" for span in spans)
        assert spans[0].parent is not None
        assert trace.format_span_id(spans[0].parent.span_id) == CALLER


async def test_a_reader_that_fell_behind_is_seen_on_its_span(tmp_path: Path) -> None:
    async with traced(tmp_path, streams=StreamSettings(tail_frames=4)) as here:
        await here.ledger.create(RunSpec(kind="k"), run_id="r")
        async with anyio.create_task_group() as tasks:
            reader = Connection(here.app, get("/v1/runs/r/stream"), tasks)
            await reader.until(lambda reader: len(reader.frames) == 2)
            reader.pause()
            for done in range(40):
                await here.ledger.append("r", [Ticked(done=done)])
            reader.go_on()
            await reader.until(lambda reader: len(reader.named("hello")) == 2)
            await here.ledger.append("r", [Completed()])
            await reader.finished()
        told = facts(here.one("/stream"))
        assert told["progress_ledger.stream_status"] == "new"
        assert told["progress_ledger.stream_resets"] == 1


async def test_nothing_secret_is_in_any_span(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens", time.time)
    _, secret = tokens.make("operator")
    async with traced(tmp_path, tokens=tokens) as here, here.http() as http:
        http.headers["authorization"] = f"Bearer {secret}"
        http.headers["cookie"] = "mark=hushed"
        spec = {"kind": "k", "run_id": "r", "title": "hushed", "labels": {"x": "hushed"}}
        assert (await http.post("/v1/runs?why=hushed", json=spec)).status_code == 201
        body = {"events": [{"type": "noted", "data": {"message": "hushed"}}, {"type": "completed"}]}
        assert (await http.post("/v1/runs/r/events?why=hushed", json=body)).status_code == 201
        assert (await http.post("/v1/events", content="hushed\n")).status_code == 200
        assert (await http.get("/v1/runs/r/stream?last_event_id=hushed")).status_code == 200
        told = "".join(span.to_json() for span in here.spans())
        assert len(here.spans("/stream")) == 1
        for word in ("hushed", secret):
            assert word not in told


async def test_what_is_neither_an_append_nor_a_stream_has_no_span(tmp_path: Path) -> None:
    async with traced(tmp_path) as here, here.http() as http:
        for path in ("/v1/runs", "/v1/runs/r", "/v1/runs/r/events", "/healthz", "/metrics", "/"):
            await http.get(path, headers=TRACEPARENT)
        await http.head("/v1/stream")
        await http.post("/v1/runs/r/cancel", json={})
        await http.put("/v1/events")
        assert not here.spans()


async def test_inside_another_application_it_is_below_that_ones_span(tmp_path: Path) -> None:
    async with traced(tmp_path) as here:
        inner = Starlette(routes=[Mount("/progress", here.app)])

        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            with here.provider.get_tracer("shop").start_as_current_span("shop"):
                await inner(scope, receive, send)

        async with here.http(outer) as http:
            reply = await http.post("/progress/v1/runs", json={"kind": "k"}, headers=TRACEPARENT)
            assert reply.status_code == 201
        span, shop = here.one("POST /progress/v1/runs"), here.one("shop")
        assert shop.context is not None
        assert span.parent is not None
        assert span.parent.span_id == shop.context.span_id
        assert span.kind is SpanKind.INTERNAL
        assert facts(span)["http.route"] == "/progress/v1/runs"


async def test_a_cancelled_request_ends_its_span_as_an_error(tmp_path: Path) -> None:
    async with traced(tmp_path) as here:
        with anyio.CancelScope() as scope:

            async def receive() -> Message:
                await anyio.sleep_forever()
                raise AssertionError

            async def send(message: Message) -> None:
                scope.cancel()
                await anyio.sleep_forever()

            asked = get("/v1/stream")
            await here.app(asked, receive, send)
        assert "progress_ledger.span" not in asked
        span = here.one("GET /v1/stream")
        assert facts(span)["error.type"] == "CancelledError"
        assert span.status.status_code is StatusCode.ERROR


async def test_without_a_provider_nothing_is_traced_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever another test of this process may have set.
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    with caplog.at_level(logging.WARNING, "progress_ledger.api"):
        traces = Traces()
    assert "tracer provider" in caplog.text
    async with (
        Ledger.open(tmp_path / "p.db", durability="process") as ledger,
        Projector.open(ledger) as projector,
    ):
        before = len(ledger._writer._observers)
        app = create_app(ledger, projector, traces=traces)
        assert "Tracing" not in repr(app.user_middleware)
        assert len(ledger._writer._observers) == before + 1, "that of the metrics"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
            assert (await http.post("/v1/runs", json={"kind": "k"})).status_code == 201
            assert (await http.post("/v1/runs", content=b"{")).status_code == 400


def test_off_means_that_opentelemetry_is_not_even_loaded() -> None:
    code = """
import sys
import progress_ledger.api.cli, progress_ledger.api.server, progress_ledger.api.tracing
assert not [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]
"""
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True, timeout=BOUND)


async def test_without_the_package_it_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(TracesExtraMissing, match=r"progress-ledger\[otel\]"):
        Traces()
    monkeypatch.undo()
    # A folder that stands before the package and is no package with these names.
    (tmp_path / "opentelemetry.py").write_text("")
    told = {"PROGRESS_LEDGER_OTEL": "true", "PYTHONPATH": str(tmp_path)}
    done = await program("serve", "--db", "p.db", "--port", "0", cwd=tmp_path, **told)
    assert done.status == 2
    assert done.errors.count("\n") == 1
    assert "pip install 'progress-ledger[otel]'" in done.errors
    assert not (tmp_path / "p.db").exists()


async def test_a_server_that_is_told_to_trace_serves(tmp_path: Path) -> None:
    async with serving(tmp_path / "p.db", "--otel") as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            assert (await http.post("/v1/runs", json={"kind": "k"}, headers=TRACEPARENT)).status_code == 201
        assert await server.stop() == 0
        assert "tracer provider" in await server.errors()
