"""What platforms and SREs see: health, metrics, logs, spans, and how the service starts and stops."""

import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.tools.running import Running, free_port, running_service


def test_probes_answer(client: httpx.Client) -> None:
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert health["dependencies"]["store"]["up"]


def test_metrics_count_what_happened(client: httpx.Client) -> None:
    client.post("/search", json={"query": "red planet", "collection": "planets"})
    client.post("/search", json={"query": ""})
    client.get("/nowhere")
    exposed = client.get("/metrics").text
    for pattern in [
        r'retrieval_request_duration_seconds_count\{route="/search",status="200"\} [1-9]',
        r'retrieval_request_duration_seconds_count\{route="/search",status="422"\} [1-9]',
        r'retrieval_request_duration_seconds_count\{route="unmatched",status="404"\} [1-9]',
        r'retrieval_stage_duration_seconds_count\{stage="embed"\} [1-9]',
        r'retrieval_passages\{collection="planets"\} 3',
        r'retrieval_import_documents_total\{outcome="created"\} [1-9]',
        r'retrieval_dependency_up\{dependency="store"\} 1',
        r"retrieval_data_free_bytes [1-9]",
        r"active_connections 1",
    ]:
        assert re.search(pattern, exposed), pattern


def test_the_openapi_document_and_its_page_are_served(client: httpx.Client) -> None:
    assert client.get("/schema/openapi.json").json()["info"]["title"] == "retrieval-service"
    assert "text/html" in client.get("/schema").headers["content-type"]


def test_what_is_switched_off_says_so(tmp_path: Path) -> None:
    with running_service(tmp_path, metrics_enabled="false", faq_enabled="false") as service:
        assert httpx.get(f"{service.url}/metrics", timeout=60).status_code == 404
        answer = httpx.post(f"{service.url}/faq/search", json={"query": "x"}, timeout=60)
        assert (answer.status_code, "RETRIEVAL_FAQ_ENABLED" in answer.json()["detail"]) == (404, True)


def test_the_process_stops_cleanly_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    for number in range(2):
        with running_service(tmp_path) as service:
            documents = [{"id": f"d{number}", "text": "a text"}]
            assert (
                httpx.post(f"{service.url}/collections/kept/documents", json=documents, timeout=60).json()["created"]
                == 1
            )
            process = service.process
        assert not process.is_running()
    with running_service(tmp_path) as service:
        hits = httpx.post(f"{service.url}/search", json={"query": "text", "collection": "kept"}, timeout=60).json()[
            "hits"
        ]
        assert {hit["document_id"] for hit in hits} == {"d0", "d1"}


def start(tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"RETRIEVAL_LISTEN": f"127.0.0.1:{free_port()}", "RETRIEVAL_DATA_DIR": str(tmp_path)}
    environment |= {f"RETRIEVAL_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "service", "serve"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("workers", "2"), ("log_level", "loud"), ("embedding_model", "no-such-model"), ("listen", "0.0.0.0:8000")],
)
def test_a_start_that_cannot_succeed_says_why_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    outcome = start(tmp_path, **{name: value})
    assert outcome.returncode == 1
    assert value in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_port_in_use_is_said_clearly(service: Running, tmp_path: Path) -> None:
    outcome = start(tmp_path, listen=f"127.0.0.1:{service.port}")
    assert outcome.returncode == 1
    assert str(service.port) in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_second_process_on_the_same_data_is_refused(service: Running) -> None:
    outcome = start(service.data_dir)
    assert outcome.returncode == 1
    assert str(service.process.pid) in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_an_unknown_setting_is_a_warning(tmp_path: Path) -> None:
    environment = os.environ | {
        "RETRIEVAL_LISTEN": f"127.0.0.1:{free_port()}",
        "RETRIEVAL_DATA_DIR": str(tmp_path),
        "RETRIEVAL_LOGLEVEL": "debug",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "serve"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    assert '"level":"warning"' in first
    assert "RETRIEVAL_LOG_LEVEL" in first
    assert '"ready"' in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    process.stderr.close()


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    received: list[ExportTraceServiceRequest] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_spans_reach_a_collector_under_the_callers_trace(
    collector: tuple[str, list[ExportTraceServiceRequest]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint, received = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    trace = "0af7651916cd43dd8448eb211c80319c"
    with running_service(tmp_path) as service:
        httpx.post(f"{service.url}/collections/traced/documents", json={"text": "a text"}, timeout=60)
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        httpx.post(f"{service.url}/search", json={"query": "text", "collection": "traced"}, headers=headers, timeout=60)
    scopes = [scope for request in received for resource in request.resource_spans for scope in resource.scope_spans]
    spans = [span for scope in scopes for span in scope.spans if span.trace_id.hex() == trace]
    assert {span.name for span in spans} == {"POST /search", "embed", "vector", "keyword", "fuse"}
    root = next(span for span in spans if span.name == "POST /search")
    assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
    names = [
        attribute.value.string_value
        for request in received
        for resource in request.resource_spans
        for attribute in resource.resource.attributes
        if attribute.key == "service.name"
    ]
    assert set(names) == {"retrieval-service"}
