"""What nginx does for callers and for the service beside choosing a process: limits, streams, compression, TLS."""

import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from scripts.nginx.rendering import UnusableUpstream, render
from scripts.nginx.settings import Place, load_ingress
from tests.tools.nginx import RunningNginx, command_for, new_addresses, new_client, nginx_before, place_in
from tests.tools.running import Running, running_service
from tests.tools.servers import missing

NDJSON = "application/x-ndjson"
ADDRESSES = new_addresses()
WAYS_TO_METRICS = (
    *("/metrics", "/metrics/", "//metrics", "/%6detrics", "/health/..%2fmetrics", "/./metrics", "/metrics?a=b"),
    *("/%2Fmetrics", "/x/../metrics", "/metrics%2f", "http://a/metrics", "/metrics#a", "/METRICS"),
)


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running_service() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(service: Running) -> Iterator[RunningNginx]:
    with nginx_before([f"127.0.0.1:{service.port}"]) as running:
        yield running


@pytest.fixture
def client(proxy: RunningNginx) -> Iterator[httpx.Client]:
    with new_client(proxy, next(ADDRESSES)) as new:
        yield new


def test_without_a_rate_there_is_no_limit(service: Running) -> None:
    ingress = load_ingress()
    unlimited = replace(ingress, rate_limit=replace(ingress.rate_limit, requests_per_minute=0))
    rendered = render(unlimited, [f"127.0.0.1:{service.port}"], Place())
    assert not re.search("limit_(req|conn)", rendered)


@pytest.mark.parametrize("path", WAYS_TO_METRICS)
@pytest.mark.parametrize("content_type", ["", NDJSON, f"{NDJSON} /collections/a/documents"])
def test_metrics_are_not_shown_outside(proxy: RunningNginx, path: str, content_type: str) -> None:
    answer = proxy.answer(path, f"Content-Type: {content_type}")
    assert answer.startswith("HTTP/1.1 404 ")
    assert "application/problem+json" in answer
    assert "retrieval_" not in answer.partition("\r\n\r\n")[2]


def test_a_body_that_is_too_large_is_refused_as_the_service_refuses_it(client: httpx.Client) -> None:
    body = b'{"id": "large", "text": "' + b"x" * 10_000_000 + b'"}'
    answer = client.post("/collections/sizes/documents", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_ndjson_may_be_of_any_length(client: httpx.Client) -> None:
    line = json.dumps({"id": "one", "colour": "x" * 1000}).encode() + b"\n"
    answer = client.post("/collections/sizes/documents", content=line * 12_000, headers={"Content-Type": NDJSON})
    assert answer.status_code == 422, answer.text  # each line has a key that is unknown, and each was read
    assert answer.json()["received"] == 12_000


def test_batches_are_acknowledged_while_the_import_is_still_being_sent(proxy: RunningNginx) -> None:
    lines = b"".join(json.dumps({"id": str(number), "text": "a text"}).encode() + b"\n" for number in range(40))
    with closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=30)) as connection:
        head = (
            "POST /collections/stream/documents HTTP/1.1",
            "Host: a",
            f"Content-Type: {NDJSON}",
            f"Accept: {NDJSON}",
        )
        connection.sendall("\r\n".join([*head, "Content-Length: 1000000", "", ""]).encode())
        connection.sendall(lines)
        seen = b""
        while b'"created":32' not in seen:
            piece = connection.recv(65536)
            assert piece, seen
            seen += piece


def test_long_queries_and_odd_ids_reach_the_service_as_they_are(client: httpx.Client) -> None:
    name = "a/b%2f..?c d"
    imported = client.post("/collections/odd/documents", json={"id": name, "text": "an odd thing"})
    assert imported.json()["created"] == 1
    path = "/collections/odd/documents/a%2Fb%252f..%3Fc%20d"
    assert client.get(path).json()["id"] == name
    answer = client.get("/search", params={"q": "ö" * 4096, "collection": "odd"})
    assert answer.status_code == 200, answer.text
    assert client.get("/search", params={"q": "odd", "collection": "odd"}).json()["hits"][0]["document_id"] == name


def test_answers_are_compressed_and_those_that_are_known_are_not_sent_again(client: httpx.Client) -> None:
    documents = [{"id": str(number), "text": "a compressible text " * 20} for number in range(20)]
    client.post("/collections/packed/documents", json=documents)
    asked = {"query": "text", "collection": "packed"}
    first = client.post("/search", json=asked, headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in first.headers["vary"]
    known = {"If-None-Match": first.headers["etag"], "Accept-Encoding": "gzip"}
    assert client.post("/search", json=asked, headers=known).status_code == 304


def test_a_callers_request_id_is_kept_and_what_it_claims_of_itself_is_not(client: httpx.Client) -> None:
    answer = client.get("/collections", headers={"X-Request-ID": "mine-1", "X-Forwarded-For": "8.8.8.8"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert client.get("/nowhere", headers={"X-Request-ID": 'a"b'}).json()["request_id"] != 'a"b'


def test_queries_are_not_written_down(proxy: RunningNginx, client: httpx.Client) -> None:
    answer = client.get("/search", params={"q": "a secret wish", "collection": "none"})
    written = proxy.request(answer.headers["x-request-id"])
    assert written["path"] == "/search"
    assert "secret" not in json.dumps(written)


def test_pages_that_are_the_same_for_all_are_asked_of_the_service_once(
    proxy: RunningNginx, client: httpx.Client
) -> None:
    first, second = client.get("/schema/openapi.json"), client.get("/schema/openapi.json")
    assert first.content == second.content
    assert "max-age=600" in second.headers["cache-control"]
    assert "set-cookie" not in second.headers
    described = [one for one in proxy.requests() if one["path"] == "/schema/openapi.json"]
    assert [bool(one["upstream"]) for one in described] == [True, False]


def test_over_tls_http_2_is_spoken_and_the_cookie_stays_there(proxy: RunningNginx, tmp_path: Path) -> None:
    curl = shutil.which("curl") or missing("curl", "the package manager")
    command = [curl, "--silent", "--insecure", "--http2", "--dump-header", str(tmp_path / "head")]
    subprocess.run([*command, f"{proxy.tls_url}/collections"], check=True, capture_output=True)
    head = (tmp_path / "head").read_text()
    assert head.startswith("HTTP/2 200")
    assert "SameSite=Lax; Secure" in head


def test_a_name_is_refused_as_an_upstream() -> None:
    for address in ("service:8000", "10.0.0.7", "10.0.0.7:http"):
        with pytest.raises(UnusableUpstream, match=address):
            render(load_ingress(), [address], Place())


def test_upstreams_may_have_addresses_of_ipv6(tmp_path: Path) -> None:
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(render(load_ingress(), ["[::1]:8000", "[::1]:8001"], place_in(tmp_path)))
    subprocess.run([*command_for(configuration), "-t"], check=True, capture_output=True)


def test_a_websocket_is_passed_on_in_both_directions() -> None:
    """The other end is a stand-in: it takes the upgrade and sends back what comes."""
    heads: list[bytes] = []

    def echo(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with closing(connection):
            heads.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            connection.sendall(connection.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        echoing = threading.Thread(target=echo, args=(listening,))
        echoing.start()
        with nginx_before([f"127.0.0.1:{listening.getsockname()[1]}"]) as proxy:
            with closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=30)) as connection:
                connection.sendall(
                    b"GET /answers/stream HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                )
                assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
                connection.sendall(b"a frame")
                assert connection.recv(65536) == b"a frame"
            echoing.join()
    assert b"upgrade: websocket" in heads[0].lower()
    assert b"connection: upgrade" in heads[0].lower()
