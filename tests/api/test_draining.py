"""SIGTERM: what was begun is ended, what was acknowledged is kept, nobody is kept waiting, and the process exits."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.test_connections import NDJSON, begin, line, received
from tests.tools.running import Running, free_port, running_service
from tests.tools.servers import missing, wait_until


def stop(service: Running) -> None:
    service.process.send_signal(signal.SIGTERM)


def test_a_process_that_drains_is_not_ready_and_says_goodbye_but_still_answers(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, drain_seconds="20") as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        assert client.get("/health/ready").is_success
        stop(service)
        while (ready := client.get("/health/ready")).is_success:
            time.sleep(0.01)
        assert ready.status_code == 503
        assert ready.json()["title"] == "The service is stopping"
        assert ready.headers["connection"] == "close"
        assert client.get("/health/live").is_success
        imported = client.post("/collections/late/documents", json={"id": "one", "text": "a text"})
        assert imported.json()["created"] == 1
        assert client.post("/search", json={"query": "text", "collection": "late"}).json()["hits"]
        service.process.kill()  # what drains longer than this test waits


def test_searches_in_progress_end_well_and_the_process_exits(tmp_path: Path) -> None:
    answers: list[int] = []

    def ask(number: int) -> None:
        queries = [{"query": f"planet {number} of {place}", "collection": "planets"} for place in range(10)]
        with suppress(httpx.ConnectError):  # who comes too late is in no progress
            answers.append(httpx.post(f"{url}/search/batch", json={"queries": queries}, timeout=60).status_code)

    with running_service(tmp_path) as service:
        url = service.url
        documents = [{"id": f"d{number}", "text": f"planet {number} " * 50} for number in range(100)]
        assert httpx.post(f"{url}/collections/planets/documents", json=documents, timeout=60).is_success
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        while not answers and any(thread.is_alive() for thread in threads):
            time.sleep(0.001)
        stop(service)
        for thread in threads:
            thread.join()
        assert service.process.wait(timeout=30) == 0
    assert set(answers) == {200}


def test_searches_whose_callers_left_end_before_what_they_use_is_closed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running_service(tmp_path / "data", log, log_level="info") as service:
        document = {"id": "mars", "text": "Mars is the red planet."}
        assert httpx.post(f"{service.url}/collections/planets/documents", json=document, timeout=60).is_success
        for number in range(200):
            query = {"query": f"planet {number} " + "far away " * 100, "collection": "planets"}
            body = json.dumps(query).encode()
            headers = "Content-Type: application/json", f"Content-Length: {len(body)}"
            with closing(begin(service.port, "/search", *headers)) as connection:
                connection.sendall(body)
        wait_until(lambda: service.metric("active_connections") > 20)
        stop(service)
        assert service.process.wait(timeout=30) == 0
    lines = [json.loads(said) for said in log.read_text().splitlines()]
    assert lines[-1]["message"] == "stopped"
    assert not [said for said in lines if said["level"] == "error"]


def unfinished_import(service: Running, accept: str) -> socket.socket:
    """Begin an import of many documents that does not end, and wait until some are acknowledged."""
    headers = f"Content-Type: {NDJSON}", f"Accept: {accept}", "Content-Length: 1000000"
    connection = begin(service.port, "/collections/cut/documents", *headers)
    connection.sendall(b"".join(line(f"d{number}") for number in range(500)) + b'{"id": "half')
    while httpx.get(f"{service.url}/collections/cut", timeout=60).json().get("documents", 0) == 0:
        time.sleep(0.01)
    return connection


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
def test_an_import_stops_at_an_acknowledged_batch_and_loses_nothing(tmp_path: Path, accept: str) -> None:
    with running_service(tmp_path) as service:
        connection = unfinished_import(service, accept)
        stop(service)
        answer = received(connection)
        assert service.process.wait(timeout=30) == 0
    head, _, body = answer.partition(b"\r\n\r\n")
    if accept == NDJSON:
        reports = [json.loads(part) for part in body.splitlines() if part.startswith(b"{")]
        acknowledged, problem = reports[-2]["created"], reports[-1]
    else:
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in head
        problem = json.loads(body)
        acknowledged = problem["received"]
    assert (problem["title"], problem["status"]) == ("The service is stopping", 503)
    assert acknowledged > 0
    with running_service(tmp_path) as again:
        assert httpx.get(f"{again.url}/collections/cut", timeout=60).json()["documents"] == acknowledged
        documents = b"".join(line(f"d{number}") for number in range(500))
        sent = httpx.post(
            f"{again.url}/collections/cut/documents", content=documents, headers={"Content-Type": NDJSON}, timeout=60
        ).json()
        assert (sent["unchanged"], sent["created"]) == (acknowledged, 500 - acknowledged)


def test_an_import_that_sends_nothing_is_told_to_come_again(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        headers = f"Content-Type: {NDJSON}", f"Accept: {NDJSON}", "Content-Length: 1000"
        connection = begin(service.port, "/collections/none/documents", *headers)
        connection.sendall(b'{"id": ')
        assert httpx.get(f"{service.url}/health/live", timeout=60).is_success
        stop(service)
        answer = received(connection)
        assert service.process.wait(timeout=30) == 0
    assert answer.startswith(b"HTTP/1.1 503 ")


def test_an_idle_connection_does_not_hold_the_process(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, request_deadline_seconds="60") as service,
        closing(socket.create_connection(("127.0.0.1", service.port))) as idle,
    ):
        idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
        stop(service)
        assert service.process.wait(timeout=30) == 0


def test_a_short_import_that_arrives_while_the_process_drains_is_done_whole(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, drain_seconds="20") as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        stop(service)
        while client.get("/health/ready").is_success:
            time.sleep(0.01)
        answer = client.post("/collections/late/documents", content=line("one"), headers={"Content-Type": NDJSON})
        assert (answer.status_code, answer.json()["created"]) == (200, 1)
        service.process.kill()


def test_the_first_process_of_a_container_ends_while_it_loads(tmp_path: Path) -> None:
    unshare = shutil.which("unshare") or missing("unshare", "util-linux")
    environment = os.environ | {"RETRIEVAL_LISTEN": f"127.0.0.1:{free_port()}", "RETRIEVAL_DATA_DIR": str(tmp_path)}
    command = [unshare, "--user", "--map-root-user", "--pid", "--fork", "--kill-child", sys.executable, "-m", "service"]
    with subprocess.Popen([*command, "serve"], env=environment, stderr=subprocess.DEVNULL) as outer:
        wait_until(lambda: bool(psutil.Process(outer.pid).children()) or outer.poll() is not None)
        if outer.poll() is not None:
            pytest.skip("this machine gives out no process namespaces")
        (first,) = psutil.Process(outer.pid).children()
        time.sleep(0.5)  # it loads what it needs
        first.send_signal(signal.SIGTERM)
        outer.wait(timeout=30)
