"""The client against a scripted server: what a real service answers only under load, or never."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from service.commands.client import RETRIES, Client, RequestRefused, ServiceUnreachable

Reply = tuple[int, dict[str, str], bytes]
DONE: Reply = (200, {"Server-Timing": "embed;dur=4.25, total;dur=6.50"}, b'{"received": 1}')
PROBLEM = b'{"title": "The request cannot be used", "status": 422, "detail": "/limit: too large", "request_id": "r-1", '
PROBLEM += b'"errors": [{"pointer": "/limit", "detail": "too large"}, {"pointer": "", "detail": "unknown key"}]}'


def busy(retry_after: str) -> Reply:
    return 503, {"Retry-After": retry_after}, b'{"title": "The deadline has passed", "request_id": "r-2"}'


class Script(HTTPServer):
    """Answers with its replies in turn, the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[Reply] = []
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Script

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.keys.append(self.headers.get("Authorization"))
        replies = self.server.replies
        status, headers, body = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def script() -> Iterator[Script]:
    with Script() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_times_of_the_stages_are_read(script: Script) -> None:
    script.replies = [DONE]
    with Client(script.url, "secret") as client:
        answer = client.post("/search", {"query": "tea"})
    assert answer.milliseconds == {"embed": 4.25, "total": 6.5}
    assert script.keys == ["Bearer secret"]


def test_an_import_waits_as_long_as_the_service_asks_and_sends_again(script: Script) -> None:
    script.replies = [busy("7"), busy("9999"), busy("soon"), DONE]
    pauses: list[float] = []
    with Client(script.url, sleep=pauses.append) as client:
        assert client.post_import("/documents", content=b"{}").data == {"received": 1}
    assert pauses == [7, 30, 1]


def test_an_import_gives_up_where_the_service_stays_busy(script: Script) -> None:
    script.replies = [busy("0")]
    pauses: list[float] = []
    with Client(script.url, sleep=pauses.append) as client, pytest.raises(RequestRefused, match="r-2"):
        client.post_import("/documents", content=b"{}")
    assert len(pauses) == RETRIES


def test_a_search_is_not_repeated(script: Script) -> None:
    script.replies = [busy("0"), DONE]
    with Client(script.url) as client, pytest.raises(RequestRefused, match="The deadline has passed"):
        client.post("/search", {})


def test_a_problem_is_told_with_its_places_and_request_id(script: Script) -> None:
    script.replies = [(422, {}, PROBLEM)]
    with Client(script.url) as client, pytest.raises(RequestRefused) as caught:
        client.post("/search", {})
    assert str(caught.value).splitlines() == [
        "The request cannot be used (422).",
        "  /limit: too large",
        "  /: unknown key",
        "Request id: r-1",
    ]


@pytest.mark.parametrize("reply", [(404, {}, b"<html>nginx</html>"), (200, {}, b"<html>hello</html>"), (502, {}, b"")])
def test_another_server_at_the_address_is_recognised(script: Script, reply: Reply) -> None:
    script.replies = [reply]
    with Client(script.url) as client, pytest.raises(RequestRefused, match="a retrieval service"):
        client.post("/search", {})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "127.0.0.1:8000", "http://[", "http://exa mple", "http://\udcff"]
)
def test_an_address_where_nothing_answers_is_named(url: str) -> None:
    with pytest.raises(ServiceUnreachable, match="No retrieval service answers"), Client(url) as client:
        client.get("/health")
