"""What an SRE sees beside the log: metrics and spans. Nothing else knows Prometheus or OpenTelemetry."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from itertools import product
from typing import get_args

from opentelemetry import propagate, trace
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from service.machine import memory_limit
from service.models import Strategy
from service.timings import Recent, Timing

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FRACTIONS = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)
RATIOS = (0.1, 0.25, 0.5, 0.8, 0.95, 1.05, 1.25, 2, 4, 10)
IMPORT_OUTCOMES = ("created", "updated", "unchanged", "superseded", "failures")
STAGES = ("embed", "vector", "keyword", "fuse", "redis")
BUSY_ROUTES = (
    "/search",
    "/search/batch",
    "/search/context",
    "/faq/search",
    "/faq/search/batch",
    "/collections/{name}/documents",
    "/collections/{name}/entries",
)
ALWAYS_THERE = (200, 500, 503)
"""Statuses of the busy routes that are exported before the first of them."""
BATCH_ROUTES = ("/search/batch", "/faq/search/batch")
ALWAYS_THERE_IN_BATCHES = (*ALWAYS_THERE, 504)


class Telemetry:
    """The metrics of one process and its tracer. Metrics are registered here and nowhere else."""

    def __init__(self, *, exports_spans: bool = False) -> None:
        # When a counter began would be a series beside each, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # as it was published
        self.registry = CollectorRegistry()
        self.tracer = _exporting_tracer() if exports_spans else trace.NoOpTracer()
        self._exports_spans = exports_spans
        self._breakers: dict[str, Callable[[], bool]] = {}
        self._by_status: dict[tuple[str, int], Histogram] = {}
        self._by_route: dict[str, Recent] = defaultdict(Recent)
        self._requests = self._histogram(
            "retrieval_request_duration_seconds",
            "Time from the request's first byte to the answer's last",
            ["route", "status"],
        )
        for route in BUSY_ROUTES:
            self._by_status |= {(route, status): self._requests.labels(route, str(status)) for status in ALWAYS_THERE}
        self._add_searches()
        self._add_plans()
        self._add_process()
        self.active = 0
        """Requests and streams in progress."""
        self.add_source(
            "active_connections", "Requests and streams in progress", [], lambda: [((), self.active)], is_counter=False
        )
        self.batch_queries = self._counter(
            "retrieval_batch_queries_total",
            "Queries inside batches by the status that each got",
            ["route", "status"],
            product(BATCH_ROUTES, ALWAYS_THERE_IN_BATCHES),
        )
        self.imports = self._counter(
            "retrieval_import_documents_total",
            "Documents and entries by what became of them",
            ["outcome"],
            zip(IMPORT_OUTCOMES),
        )
        self.passages = self._gauge(
            "retrieval_passages", "Passages in the 50 largest collections; the rest are other", "collection"
        )
        self.dependency_up = self._gauge(
            "retrieval_dependency_up", "Whether the last call to the dependency succeeded", "dependency"
        )

    def _add_process(self) -> None:
        ProcessCollector(registry=self.registry)
        self.add_source(
            "retrieval_memory_limit_bytes",
            "Memory that the container may use, where it has a limit",
            [],
            lambda: [((), limit)] if (limit := memory_limit()) is not None else [],
            is_counter=False,
        )

    def _add_searches(self) -> None:
        stages = self._histogram("retrieval_stage_duration_seconds", "Time of one stage of a search", ["stage"])
        self._stages = {stage: (stages.labels(stage), Recent()) for stage in STAGES}
        faq = self._histogram("faq_retrieval_latency_seconds", "Time of a FAQ search", ["cache"])
        self._faq = {outcome: faq.labels(outcome) for outcome in ("hit", "miss")}
        self.faq_results = {"hit": 0, "miss": 0}
        answers = self._histogram(
            "retrieval_answer_duration_seconds", "Time of an answer to a search, by where it came from", ["tier"]
        )
        self._answers = {tier: answers.labels(tier or "none") for tier in ("memory", "redis", None)}

    def _add_plans(self) -> None:
        self.plans = dict.fromkeys(get_args(Strategy), 0)
        """Searches by strategy."""
        self.add_source(
            "retrieval_plan",
            "Searches by how they were done",
            ["strategy"],
            lambda: [((name,), count) for name, count in self.plans.items()],
        )
        self._fractions = self._histogram(
            "retrieval_filter_fraction", "Part of a collection that a filter lets through, estimated", [], FRACTIONS
        )
        self._plan_errors = self._histogram(
            "retrieval_plan_error_ratio", "Estimated by actual matches of a filter, one added to each", [], RATIOS
        )

    def stage_span(self, stage: str) -> AbstractContextManager[object]:
        """Open the span of one stage of the current request."""
        return self.tracer.start_as_current_span(stage) if self._exports_spans else nullcontext()

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics in Prometheus' text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Take note of an answered request."""
        histogram = self._by_status.get((route, status))
        if histogram is None:
            histogram = self._by_status[route, status] = self._requests.labels(route, str(status))
        histogram.observe(seconds)
        self._by_route[route].observe(seconds)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Take note of a stage of a request, one of STAGES."""
        histogram, recent = self._stages[stage]
        histogram.observe(seconds)
        recent.observe(seconds)

    def timings(self) -> tuple[dict[str, Timing], dict[str, Timing]]:
        """Return the times of the routes, and of the stages, that ran since the start."""
        routes = {route: recent.timing() for route, recent in sorted(self._by_route.items())}
        return routes, {stage: recent.timing() for stage, (_, recent) in self._stages.items() if recent.has_any}

    def observe_answer(self, tier: str | None, seconds: float) -> None:
        """Take note of an answer to a search, from the memory, from Redis, or computed."""
        self._answers[tier].observe(seconds)

    def observe_faq(self, outcome: str, seconds: float) -> None:
        """Take note of a FAQ search; what is no hit is a miss."""
        known = "hit" if outcome == "hit" else "miss"
        self._faq[known].observe(seconds)
        self.faq_results[known] += 1

    def observe_plan(self, strategy: str, fraction: float | None) -> None:
        """Take note of a plan, and of the part of the collection that its filter is taken to let through."""
        self.plans[strategy] += 1
        if fraction is not None:
            self._fractions.observe(fraction)

    def observe_plan_error(self, ratio: float) -> None:
        """Take note of an estimate whose truth became known: estimated by actual matches."""
        self._plan_errors.observe(ratio)

    def add_source(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        read: Callable[[], Iterable[tuple[Sequence[str], float]]],
        *,
        is_counter: bool = True,
    ) -> None:
        """Export what is counted elsewhere: `read` returns label values and a number each, and is called at scrapes."""
        kind = CounterMetricFamily if is_counter else GaugeMetricFamily
        self.registry.register(_Source(lambda: kind(name, documentation, labels=labels), read))

    def add_breaker(self, dependency: str, is_open: Callable[[], bool]) -> None:
        """Export whether a dependency is left alone."""
        if not self._breakers:
            description = "1 while a dependency is left alone, because it failed"
            self.add_source(
                "retrieval_breaker_open", description, ["dependency"], self._open_breakers, is_counter=False
            )
        self._breakers[dependency] = is_open

    def is_left_alone(self, dependency: str) -> bool:
        """Whether a dependency is left alone: all nodes of it, where their names begin with its own."""
        nodes = [is_open() for name, is_open in self._breakers.items() if name.partition(" ")[0] == dependency]
        return bool(nodes) and all(nodes)

    def _open_breakers(self) -> Iterable[tuple[Sequence[str], float]]:
        return [((dependency,), float(is_open())) for dependency, is_open in self._breakers.items()]

    @contextmanager
    def request_span(self, name: str, headers: Mapping[str, str]) -> Iterator[trace.Span]:
        """Open the span of one request, under the caller's trace where `traceparent` names one."""
        if not self._exports_spans:
            yield trace.INVALID_SPAN
            return
        parent = propagate.extract(headers) if "traceparent" in headers else None
        with self.tracer.start_as_current_span(name, context=parent, kind=trace.SpanKind.SERVER) as span:
            yield span

    def _counter(
        self, name: str, documentation: str, labels: list[str], zeros: Iterable[tuple[object, ...]]
    ) -> Counter:
        """Make a counter with children at zero: a rate does not see what begins at one."""
        counter = Counter(name, documentation, labels, registry=self.registry)
        for values in zeros:
            counter.labels(*values)
        return counter

    def _gauge(self, name: str, documentation: str, label: str) -> Gauge:
        return Gauge(name, documentation, [label], registry=self.registry)

    def _histogram(
        self, name: str, documentation: str, labels: list[str], buckets: Sequence[float] = BUCKETS
    ) -> Histogram:
        return Histogram(name, documentation, labels, registry=self.registry, buckets=buckets)


class _Source(Collector):
    """Numbers that are read when they are asked for."""

    def __init__(self, empty: Callable[[], Metric], read: Callable[[], Iterable[tuple[Sequence[str], float]]]) -> None:
        self._empty = empty
        self._read = read

    def collect(self) -> Iterable[Metric]:
        family = self._empty()
        for labels, value in self._read():
            family.add_metric(labels, value)  # type: ignore[attr-defined]  # the families have it, their base has not
        yield family


def _exporting_tracer() -> trace.Tracer:
    """Return a tracer that exports by OTLP over HTTP, configured by the `OTEL_*` variables."""
    # Imported only when needed: the exporter costs 0.2 s of the start.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = Resource({SERVICE_NAME: "retrieval-service"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=Resource.create().merge(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("service")
