"""What somebody without a key can do to others through nginx: nothing that they notice."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from scripts.nginx.rendering import MOST_CONNECTIONS, MOST_HELD
from scripts.nginx.settings import load_ingress
from tests.tools.keys import bearing, written_key
from tests.tools.nginx import RunningNginx, new_addresses, new_client, nginx_before
from tests.tools.running import Running, free_port, running_service

BURST = 5
ADDRESSES = new_addresses()
PAGES = ["/schema/openapi.json", "/schema", "/assets/app.js"]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    return file, written_key(file, "default")


@pytest.fixture(scope="module")
def service(key: tuple[Path, str]) -> Iterator[Running]:
    with running_service(api_keys_file=str(key[0])) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(service: Running) -> Iterator[RunningNginx]:
    with nginx_before([f"127.0.0.1:{service.port}"]) as running:
        yield running


@pytest.fixture(scope="module")
def strict(service: Running) -> Iterator[RunningNginx]:
    """A proxy that takes few requests of an address and then, for as long as a test runs, none."""
    ingress = load_ingress()
    few = replace(ingress, rate_limit=replace(ingress.rate_limit, requests_per_minute=1, burst=BURST))
    with nginx_before([f"127.0.0.1:{service.port}"], few) as running:
        yield running


def hidden(path: str) -> str:
    """A path that is another one's when it is decoded."""
    return f"/collections/c/documents/%2e%2e%2F%2e%2e%2F%2e%2e{path.replace('/', '%2F')}"


@pytest.mark.parametrize("page", PAGES)
def test_a_document_cannot_take_the_place_of_a_page_that_is_kept_for_all(
    proxy: RunningNginx, key: tuple[Path, str], page: str
) -> None:
    token = bearing(key[1])
    document = {"id": f"../../..{page}", "text": "put here by a stranger"}
    httpx.post(f"{proxy.url}/collections/c/documents", json=document, headers=token, timeout=60).raise_for_status()
    own = proxy.answer(hidden(page), f"Authorization: {token['Authorization']}")
    assert "put here by a stranger" in own
    assert "public" not in own
    assert "put here by a stranger" not in proxy.answer(page)
    assert "put here by a stranger" not in proxy.answer(hidden(page))


def test_a_page_that_is_kept_tells_nothing_of_who_asked_first(proxy: RunningNginx) -> None:
    first = httpx.get(f"{proxy.url}/schema/openapi.json", headers={"X-Request-ID": "of-the-first"}, timeout=60)
    second = httpx.get(f"{proxy.url}/schema/openapi.json", headers={"X-Request-ID": "of-the-second"}, timeout=60)
    assert not proxy.request("of-the-second")["upstream"]
    assert first.content == second.content
    assert second.headers.get_list("x-request-id") == ["of-the-second"]
    assert "server-timing" not in second.headers


def test_who_sends_too_much_is_told_when_to_go_on_and_nobody_else_notices(strict: RunningNginx) -> None:
    with new_client(strict, next(ADDRESSES)) as client:
        answers = [client.get("/schema/a-page") for _ in range(BURST + 3)]
    assert [answer.status_code for answer in answers] == [404] * (BURST + 1) + [429] * 2
    refused = answers[-1]
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    with new_client(strict, next(ADDRESSES)) as other:
        assert other.get("/health").status_code == 200


@pytest.mark.parametrize("path", ["/health", "/health/", "/healthy", "/health/live/", hidden("/health/live")])
def test_only_the_checks_of_health_themselves_are_without_limit(strict: RunningNginx, path: str) -> None:
    with new_client(strict, next(ADDRESSES)) as client:
        for check in ("/health/live", "/health/ready"):
            assert {client.get(check).status_code for _ in range(2 * BURST)} == {200}
        assert 429 in [client.get(path).status_code for _ in range(2 * BURST)]
        assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize("path", ["/collections/x/files", "/collections/x/reindex", "/collections/x/documents"])
def test_without_a_key_one_is_refused_before_a_large_body_has_come(proxy: RunningNginx, path: str) -> None:
    kind = {"files": "multipart/form-data; boundary=b", "documents": "application/x-ndjson"}
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\nContent-Type: "
    head += kind.get(path.rpartition("/")[2], "application/json")
    with closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=10)) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode() + b"x" * 1_000_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def sending(stack: ExitStack, proxy: RunningNginx, address: str, head: str) -> socket.socket:
    """Begin a request that is not ended."""
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), 10, (address, 0)))
    connection.sendall(head.encode())
    return connection


def answered(connections: list[socket.socket]) -> list[bytes]:
    """What has come when something has."""
    ready, _, _ = select.select(connections, [], [], 10)
    return [connection.recv(65536) for connection in ready]


def test_few_large_bodies_are_held_for_one_address(proxy: RunningNginx) -> None:
    head = "POST /collections/x/documents HTTP/1.1\r\nHost: a\r\n"
    sizes = ["Content-Length: 5000000\r\n\r\n[", "Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n"]
    own, other = next(ADDRESSES), next(ADDRESSES)
    with ExitStack() as stack:
        begun = [sending(stack, proxy, own, head + sizes[number % 2]) for number in range(MOST_HELD + 1)]
        assert [answer[:13] for answer in answered(begun)] == [b"HTTP/1.1 429 "]
        with new_client(proxy, own) as client:
            assert client.post("/search", json={"query": "a short one"}).status_code == 401
        with new_client(proxy, other) as client:
            large = json.dumps({"id": "a", "text": "x" * 200_000})
            assert client.post("/collections/x/documents", content=large).status_code == 401


def test_one_address_cannot_have_all_connections() -> None:
    own, other = next(ADDRESSES), next(ADDRESSES)
    head = "GET /collections HTTP/1.1\r\nHost: a\r\n\r\n"
    with (
        ExitStack() as stack,
        socket.create_server(("127.0.0.1", 0), backlog=2 * MOST_CONNECTIONS) as silent,
        nginx_before([f"127.0.0.1:{silent.getsockname()[1]}"]) as proxy,
    ):
        begun = [sending(stack, proxy, own, head) for _ in range(MOST_CONNECTIONS + 1)]
        assert [answer[:13] for answer in answered(begun)] == [b"HTTP/1.1 429 "]
        assert not select.select([sending(stack, proxy, other, head)], [], [], 1)[0]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_queries_are_not_written_down_where_no_process_answers_either(method: str) -> None:
    with nginx_before([f"127.0.0.1:{free_port()}"]) as proxy:
        answer = httpx.request(
            method, f"{proxy.url}/search", params={"q": "a-secret-wish"}, json={"query": "x" * 99_999}, timeout=60
        )
        written = proxy.request(answer.headers["x-request-id"])
        assert (answer.status_code, written["status"], written["path"]) == (503, 503, "/search")
        assert "secret" not in json.dumps(written) + proxy.errors()
