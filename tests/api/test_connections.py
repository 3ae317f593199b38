"""Callers that break off, dawdle or send odd headers: no 5xx, nothing half-taken, and a stop that is not held up."""

import json
import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.tools.running import Running, running_service
from tests.tools.servers import wait_until

NDJSON = "application/x-ndjson"
LONGEST_WAIT_SECONDS = 240
"""For what comes to be so at last, on a machine that others keep busy."""


def line(identifier: str) -> bytes:
    return json.dumps({"id": identifier, "text": "a text"}).encode() + b"\n"


def begin(port: int, path: str, *headers: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers])
    connection.sendall(f"{head}\r\n\r\n".encode())
    return connection


def received(connection: socket.socket) -> bytes:
    with closing(connection):
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/search", "application/json", b'{"query": "x"'),
        ("/collections/cut/documents", "application/json", line("cut")),
        ("/collections/cut/documents", NDJSON, line("cut")),
        ("/collections/cut/files", "multipart/form-data; boundary=b", b"--b\r\n"),
    ],
)
def test_a_body_that_is_cut_off_is_the_callers_error(
    service: Running, client: httpx.Client, path: str, content_type: str, body: bytes
) -> None:
    connection = begin(service.port, path, f"Content-Type: {content_type}", "Content-Length: 1000")
    connection.sendall(body)
    connection.shutdown(socket.SHUT_WR)
    assert received(connection).startswith(b"HTTP/1.1 400 ")
    assert client.get("/collections/cut").status_code == 404
    failures = r'retrieval_request_duration_seconds_count\{[^}]*status="500"[^}]*\} [1-9]'
    assert not re.search(failures, client.get("/metrics").text)


def test_a_length_of_too_many_digits_is_the_callers_error(service: Running) -> None:
    body = b'{"query": "x", "collection": "nowhere"}'
    length = f"Content-Length: {len(body):05000}"
    with closing(begin(service.port, "/search", "Content-Type: application/json", length)) as connection:
        connection.sendall(body)
        assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_a_body_whose_chunks_are_broken_is_the_callers_error(service: Running) -> None:
    connection = begin(
        service.port, "/collections/cut/documents", f"Content-Type: {NDJSON}", "Transfer-Encoding: chunked"
    )
    connection.sendall(b"ZZ\r\nno chunk\r\n0\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)
    assert received(connection).startswith(b"HTTP/1.1 400 ")


def test_reports_end_with_the_problem_where_the_body_is_cut_off(service: Running) -> None:
    connection = begin(
        service.port,
        "/collections/cut_later/documents",
        f"Content-Type: {NDJSON}",
        f"Accept: {NDJSON}",
        "Content-Length: 100000",
    )
    connection.sendall(b"".join(line(str(number)) for number in range(40)))
    connection.shutdown(socket.SHUT_WR)
    answer = received(connection).decode()
    assert '"created":32' in answer
    assert '"status":400' in answer


@pytest.mark.parametrize(("name", "accept"), [("left_json", "application/json"), ("left_lines", NDJSON)])
def test_an_import_ends_soon_after_its_caller_has_left(
    service: Running, client: httpx.Client, name: str, accept: str
) -> None:
    # Short texts: what is embedded has the lowest priority, and beside others' work the batch under way takes long.
    documents = [{"id": str(number), "text": f"planet {number} " * 40} for number in range(640)]
    body = json.dumps(documents).encode()
    headers = ["Content-Type: application/json", f"Accept: {accept}", f"Content-Length: {len(body)}"]
    with closing(begin(service.port, f"/collections/{name}/documents", *headers)) as connection:
        connection.sendall(body)
        wait_until(lambda: client.get(f"/collections/{name}").is_success, LONGEST_WAIT_SECONDS)
    is_over = re.compile(r"^active_connections 1.0$", re.MULTILINE)
    wait_until(lambda: bool(is_over.search(client.get("/metrics").text)), LONGEST_WAIT_SECONDS)
    assert client.get(f"/collections/{name}").json()["documents"] < len(documents)


def test_a_stop_is_not_held_up_by_a_caller_who_dawdles(tmp_path: Path) -> None:
    with running_service(tmp_path, request_deadline_seconds="0.1") as service:
        held = begin(service.port, "/collections/slow/documents", f"Content-Type: {NDJSON}", "Content-Length: 1000")
        held.sendall(line("one"))
        assert httpx.get(f"{service.url}/health/live", timeout=60).status_code == 200
        service.process.send_signal(signal.SIGTERM)
        answer = received(held)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after" in answer


@pytest.mark.parametrize("route", ["documents", "entries"])
def test_ndjson_may_be_longer_than_any_json(client: httpx.Client, route: str) -> None:
    document = {"text": "a text"} if route == "documents" else {"question": "a question?", "answer": "an answer"}
    lines = [json.dumps(document | {"id": str(number)}) + " " * 6_000_000 + "\n" for number in range(2)]
    path = f"/collections/long_{route}/{route}"
    answer = client.post(path, content="".join(lines), headers={"Content-Type": NDJSON})
    assert answer.json()["created"] == 2
    answer = client.post(path, content="".join(lines), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"  # the rest of the body is not read: nothing can follow it


@pytest.mark.parametrize("body", [{"unknown": 1}, {"query": "x", "collection": "nowhere"}, {"query": "x" * 100_000}])
def test_a_refusal_of_a_body_that_was_read_keeps_the_connection(client: httpx.Client, body: dict[str, object]) -> None:
    for path in ("/search", "/search/context"):
        answer = client.post(path, json=body)
        assert 400 <= answer.status_code < 500
        assert "connection" not in answer.headers


@pytest.mark.parametrize("content_type", [NDJSON, "Application/X-NDJSON", f"{NDJSON}; charset=utf-8"])
def test_media_types_are_read_in_any_case(client: httpx.Client, content_type: str) -> None:
    answer = client.post(
        "/collections/cases/documents",
        content=line("one") + line("two"),
        headers={"Content-Type": content_type, "Accept": content_type},
    )
    assert answer.headers["content-type"] == NDJSON
    assert answer.json()["received"] == 2


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (b'name="id"\r\n\r\n\xff', 400),
        (b'name="id"\r\nContent-Type: text/plain; charset=none-such\r\n\r\nx', 400),
        (b'name="file"\r\n\r\nno file name', 422),
    ],
    ids=["not UTF-8", "no such charset", "no file"],
)
def test_a_form_that_cannot_be_read_is_refused(client: httpx.Client, part: bytes, status: int) -> None:
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\ntext\r\n'
    body = (file if b'"id"' in part else b"") + b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n--b--\r\n"
    answer = client.post(
        "/collections/forms/files", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == status, answer.text
    assert "class" not in answer.json()["detail"]
