"""What an SRE sees: metrics, spans, stage times and JSON log lines. Nothing else knows Prometheus or OpenTelemetry."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec
from opentelemetry import propagate, trace
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STAGES = ("embed", "vector", "keyword", "fuse")
LOGGED = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "taskName"}


class Telemetry:
    """The metrics of one process and its tracer. Metrics are registered here and nowhere else."""

    def __init__(self, *, exports_spans: bool = False) -> None:
        self.registry = CollectorRegistry()
        self.tracer = _exporting_tracer() if exports_spans else trace.NoOpTracer()
        self._exports_spans = exports_spans
        self.requests = self._histogram(
            "retrieval_request_duration_seconds",
            "Time from the request's first byte to the answer's last",
            ["route", "status"],
        )
        stages = self._histogram("retrieval_stage_duration_seconds", "Time of one stage of a search", ["stage"])
        self.stages = {stage: stages.labels(stage) for stage in STAGES}
        faq = self._histogram("faq_retrieval_latency_seconds", "Time of a FAQ search", ["cache"])
        self.faq = faq.labels("miss")
        self.active = Gauge("active_connections", "Requests and streams in progress", registry=self.registry)
        self.imports = Counter(
            "retrieval_import_documents_total",
            "Documents and entries by what became of them",
            ["outcome"],
            registry=self.registry,
        )
        self.passages = Gauge(
            "retrieval_passages",
            "Passages in the 50 largest collections; the rest are other",
            ["collection"],
            registry=self.registry,
        )
        self.dependency_up = Gauge(
            "retrieval_dependency_up",
            "Whether the last call to the dependency succeeded",
            ["dependency"],
            registry=self.registry,
        )

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics in Prometheus' text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    @contextmanager
    def request_span(self, name: str, headers: Mapping[str, str]) -> Iterator[trace.Span]:
        """Open the span of one request, under the caller's trace where `traceparent` names one."""
        parent = propagate.extract(headers) if self._exports_spans and "traceparent" in headers else None
        with self.tracer.start_as_current_span(name, context=parent, kind=trace.SpanKind.SERVER) as span:
            yield span

    def _histogram(self, name: str, documentation: str, labels: list[str]) -> Histogram:
        return Histogram(name, documentation, labels, registry=self.registry, buckets=BUCKETS)


class Stages:
    """The stage times of one request: for Server-Timing, the histograms and the spans."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block as one of STAGES; a stage that runs several times in a request adds up in Server-Timing."""
        start = time.perf_counter()
        try:
            with self._telemetry.tracer.start_as_current_span(stage):
                yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
            self._telemetry.stages[stage].observe(spent)

    def server_timing(self, total: float) -> str:
        """Return the Server-Timing header's value, in milliseconds."""
        entries = [*self.seconds.items(), ("total", total)]
        return ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in entries)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what a call passes as `extra` stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= {key: value for key, value in vars(record).items() if key not in LOGGED}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure_logging(level: str) -> None:
    """Send all log lines to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for reader_of_headers in ("opentelemetry.trace", "opentelemetry.baggage"):
        # Callers write these headers: what is wrong in them must not fill the log.
        logging.getLogger(reader_of_headers).setLevel(logging.ERROR)


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
