"""What metrics and log lines say of requests that failed: each once, with the status that it had, and why."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_connections import NDJSON, begin, line, received
from tests.tools.running import Running, running_service
from tests.tools.servers import wait_until

LATE = {"query": "red planet", "collection": "planets"}
"""A search that the service below has no time for."""
MOST_ATTEMPTS = 30


class Logging:
    """A service that logs all requests."""

    def __init__(self, running: Running, log: Path) -> None:
        self.running = running
        self.log = log

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return httpx.request(method, f"{self.running.url}{path}", timeout=60, **arguments)

    def lines(self, request_id: str) -> list[dict[str, Any]]:
        """The log lines of a request, which are written just after its answer."""
        wait_until(lambda: f'"{request_id}"' in self.log.read_text())
        lines = [json.loads(one) for one in self.log.read_text().splitlines()]
        return [one for one in lines if one.get("request_id") == request_id]


@contextmanager
def logging_service(log: Path, **settings: str) -> Iterator[Logging]:
    with running_service(None, log, log_level="debug", **settings) as running:
        opened = Logging(running, log)
        document = {"id": "mars", "text": "Mars is the red planet."}
        assert opened.call("POST", "/collections/planets/documents", json=document).is_success
        yield opened


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logging]:
    """One that gives no search the time it needs."""
    with logging_service(tmp_path_factory.mktemp("hasty") / "log", request_deadline_seconds="0.001") as opened:
        yield opened


@pytest.mark.parametrize(("method", "how"), [("POST", "json"), ("GET", "params")])
def test_a_failed_search_is_one_line_that_says_why(hasty: Logging, method: str, how: str) -> None:
    parameters = LATE if how == "json" else {"q": "red planet", "collection": "planets"}
    answer = hasty.call(method, "/search", **{how: parameters})
    assert answer.status_code == 503
    (said,) = hasty.lines(answer.headers["x-request-id"])
    assert (said["level"], said["message"], said["route"], said["status"]) == ("warning", "request", "/search", 503)
    assert said["detail"] == answer.json()["detail"]


def test_what_the_caller_did_wrong_is_no_warning_and_not_repeated(hasty: Logging) -> None:
    answer = hasty.call("POST", "/search", json={"query": "x", "collection": "secret_plans"})
    (said,) = hasty.lines(answer.headers["x-request-id"])
    assert (said["level"], said["status"]) == ("debug", 404)
    assert "secret_plans" not in json.dumps(said)


def test_failed_queries_of_a_batch_are_one_line_and_counted_each(hasty: Logging) -> None:
    queries = [LATE | {"query": f"planet {number}"} for number in range(20)] + [LATE | {"collection": "nowhere"}, {}]
    answer = hasty.call("POST", "/search/batch", json={"queries": queries})
    assert answer.status_code == 200
    (said,) = hasty.lines(answer.headers["x-request-id"])
    assert (said["level"], said["status"]) == ("warning", 200)
    assert said["queries"] == {"200": 0, "404": 1, "422": 1, "503": 20}
    assert said["detail"] == answer.json()["results"][0]["detail"]
    for status, expected in said["queries"].items():
        series = f'retrieval_batch_queries_total{{route="/search/batch",status="{status}"}}'
        assert hasty.running.metric(series) == expected


def test_answered_queries_of_a_batch_are_counted(service: Running, client: httpx.Client) -> None:
    series = 'retrieval_batch_queries_total{route="/faq/search/batch",status="200"}'
    before = service.metric(series)
    queries = [{"query": "How do I reset my password?", "collection": "help"}] * 2
    assert client.post("/faq/search/batch", json={"queries": queries}).is_success
    assert service.metric(series) == before + 2


@pytest.mark.parametrize("route", ["/search/batch", "/faq/search/batch"])
@pytest.mark.parametrize("status", [200, 500, 503, 504])
def test_queries_of_batches_are_counted_from_zero_on(client: httpx.Client, route: str, status: int) -> None:
    assert f'retrieval_batch_queries_total{{route="{route}",status="{status}"}}' in client.get("/metrics").text


def test_a_streamed_import_whose_last_line_is_a_problem_has_its_status(hasty: Logging) -> None:
    headers = f"Content-Type: {NDJSON}", f"Accept: {NDJSON}", "Content-Length: 100000", "X-Request-ID: cut-off"
    connection = begin(hasty.running.port, "/collections/cut/documents", *headers)
    connection.sendall(b"".join(line(str(number)) for number in range(40)))
    connection.shutdown(socket.SHUT_WR)
    answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"status":400' in answer
    (said,) = hasty.lines("cut-off")
    assert (said["route"], said["status"]) == ("/collections/{name}/documents", 400)
    series = 'retrieval_request_duration_seconds_count{route="/collections/{name}/documents",status="400"}'
    assert hasty.running.metric(series) == 1


def begun_batch(service: Running, name: str) -> socket.socket:
    """Send a batch that takes a while."""
    queries = [{"query": f"{name} {place} " + "far away " * 100, "collection": "planets"} for place in range(50)]
    body = json.dumps({"queries": queries}).encode()
    connection = begin(service.port, "/search/batch", "Content-Type: application/json", f"Content-Length: {len(body)}")
    connection.sendall(body)
    return connection


def test_a_search_that_is_shed_is_no_warning(tmp_path: Path) -> None:
    with logging_service(tmp_path / "log") as opened, ExitStack() as connections:
        for attempt in range(MOST_ATTEMPTS):  # a search may come before the batches, or after them
            for number in range(40):
                connections.enter_context(closing(begun_batch(opened.running, f"batch {attempt} {number}")))
            answer = opened.call("POST", "/search", json=LATE | {"query": f"planet {attempt}"})
            if not answer.is_success:
                break
        assert answer.json()["title"] == "The service is overloaded"
        connections.close()
        (said,) = [one for one in opened.lines(answer.headers["x-request-id"]) if one["message"] == "request"]
    assert (said["level"], said["status"], said["detail"]) == ("debug", 503, answer.json()["detail"])


def test_what_is_turned_away_by_a_service_that_stops_is_no_warning(tmp_path: Path) -> None:
    with logging_service(tmp_path / "log", drain_seconds="20") as opened:
        opened.running.process.send_signal(signal.SIGTERM)
        while (answer := opened.call("GET", "/health/ready")).is_success:
            time.sleep(0.01)
        (said,) = opened.lines(answer.headers["x-request-id"])
        opened.running.process.kill()  # what drains longer than this test waits
    assert (said["level"], said["route"], said["status"]) == ("debug", "/health/ready", 503)


def test_a_batch_ends_soon_after_its_caller_has_left(service: Running, client: httpx.Client) -> None:
    left = 'retrieval_request_duration_seconds_count{route="/search/batch",status="400"}'
    before = service.metric(left)
    with closing(begun_batch(service, "planet")):
        wait_until(lambda: service.metric("active_connections") > 1)
    wait_until(lambda: service.metric("active_connections") == 1)
    assert service.metric(left) == before + 1
    assert client.post("/search", json=LATE).is_success
