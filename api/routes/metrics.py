"""``GET /metrics``: Prometheus text, in Prometheus' own names and units.

Label sets are bounded: at most fifty kinds are named, the rest is ``other``. Nothing is counted on the side
that the ledger does not know anyway; commits are observed as they happen.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from progress_ledger.ledger.log import RunFilter

from ..access.rights import access_of
from ..service import Service
from ..streams.stream import Streams

__all__ = ("KINDS_NAMED", "routes")

KINDS_NAMED = 50
"""Kinds with a label of their own, those with most active runs first."""

_PREFIX = "progress_ledger"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


def routes(service: Service, streams: Streams) -> list[BaseRoute]:
    """``GET /metrics``."""
    registry = CollectorRegistry(auto_describe=False)
    seconds = Histogram(
        f"{_PREFIX}_commit_seconds",
        "Time of one commit, the way to the disk included.",
        buckets=_SECONDS,
        registry=registry,
    )
    events = Histogram(
        f"{_PREFIX}_commit_events", "Events of one commit.", buckets=_EVENTS, registry=registry
    )

    def observe(count: int, took: float) -> None:
        seconds.observe(took)
        events.observe(count)

    service.ledger.observe_commits(observe)
    facts = _Facts(service, streams)
    registry.register(facts)
    return [Route("/metrics", partial(_metrics, service, registry, facts), methods=["GET"], name="metrics")]


async def _metrics(
    service: Service, registry: CollectorRegistry, facts: "_Facts", request: Request
) -> Response:
    access_of(request.scope).require_all()
    position = await service.projector.caught_up()
    facts.ended = await service.ledger.log.count_runs(RunFilter())
    facts.position = position
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), media_type=content_type, headers={"Cache-Control": "no-store"})


class _Facts(Collector):
    """What is read off at each scrape."""

    def __init__(self, service: Service, streams: Streams) -> None:
        self.ended: Mapping[str, int] = {}
        self.position = 0
        self._service = service
        self._streams = streams

    def collect(self) -> Iterator[Metric]:
        projector = self._service.projector
        writer = self._service.ledger.statistics
        yield _counter("events_appended", "Events this process appended.", writer.events)
        yield _gauge("events_waiting", "Events in line for the writer.", writer.waiting)
        yield _gauge("head_position", "Position of the newest event.", projector.statistics.head)
        lag = projector.statistics.head - projector.statistics.position
        yield _gauge("projection_lag_events", "Events committed and not folded yet.", lag)
        yield from self._runs()
        yield from self._accuracy()
        yield from self._of_streams()

    def _runs(self) -> Iterator[Metric]:
        active = list(self._service.projector.active())
        stalled = self._service.projector.stalled()
        named = _named(state.kind for state in active)
        tally = Tally(
            (
                state.kind if state.kind in named else "other",
                "stalled" if state.run_id in stalled else state.status,
            )
            for state in active
        )
        family = GaugeMetricFamily(
            f"{_PREFIX}_runs_active", "Active runs; a stalled one is not running.", labels=("kind", "status")
        )
        for (kind, status), count in sorted(tally.items()):
            family.add_metric((kind, status), count)
        yield family
        ended = GaugeMetricFamily(f"{_PREFIX}_runs", "Runs in the ledger.", labels=("status",))
        for status, count in sorted(self.ended.items()):
            ended.add_metric((status,), count)
        yield ended

    def _accuracy(self) -> Iterator[Metric]:
        histories = self._service.projector.histories
        error = GaugeMetricFamily(
            f"{_PREFIX}_eta_error_ratio",
            "Mean absolute error of past ETAs, as a share of the true remaining time.",
            labels=("kind",),
        )
        for kind in sorted(histories.kinds()[-KINDS_NAMED:]):
            history = histories.get(kind)
            accuracy = None if history is None else history.accuracy()
            if accuracy is not None and accuracy.error is not None:
                error.add_metric((kind,), accuracy.error)
        yield error

    def _of_streams(self) -> Iterator[Metric]:
        told = self._streams.statistics
        yield _gauge("streams_open", "Event streams open now.", told.streams)
        yield _counter("stream_frames_encoded", "Frames encoded, each once for all its readers.", told.frames)
        openings = CounterMetricFamily(
            f"{_PREFIX}_stream_openings", "Hellos by what became of the cursor.", labels=("status", "reason")
        )
        for (status, reason), count in sorted(told.hellos.items()):
            openings.add_metric((status, reason), count)
        yield openings


def _named(kinds: Iterable[str]) -> frozenset[str]:
    return frozenset(kind for kind, _ in Tally(kinds).most_common(KINDS_NAMED))


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", text, value=value)
