"""What nginx sends to a second process, and what it does not: doing a thing twice is not always doing it once."""

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.tools.nginx import nginx_before
from tests.tools.running import free_port
from tests.tools.stand_ins import BUSY, DEATH, FINE, stand_ins

SEARCHES = ["/search", "/search/batch", "/search/context", "/faq/search", "/faq/search/batch", "/search?pretty"]
IMPORTS = ["/collections/x/documents", "/collections/x/entries"]
CHANGES = [
    "/collections/x/rollback",
    "/collections/x/reindex",
    "/collections/x/documents/delete",
    "/performance/cache/warm",
]
NDJSON = {"Content-Type": "application/x-ndjson"}
each_change = pytest.mark.parametrize("path", CHANGES)


def asked_of(answers: list[bytes], path: str, **request: str) -> tuple[int, list[int]]:
    """Post to processes that answer so; return the status, and how many requests each of them got."""
    with stand_ins(answers) as processes, nginx_before([one.address for one in processes]) as proxy:
        answer = httpx.post(f"{proxy.url}{path}", timeout=30, **request)  # type: ignore[arg-type]
        return answer.status_code, [len(one.requests) for one in processes]


@each_change
def test_what_a_dying_process_may_have_done_is_not_done_again(path: str) -> None:
    status, requests = asked_of([DEATH] * 3, path)
    assert status == 503
    assert sum(requests) == 1


@each_change
def test_what_has_reached_no_process_goes_to_one_that_takes_it(path: str) -> None:
    with stand_ins([FINE]) as (well,):
        nowhere = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        with nginx_before([*nowhere, well.address]) as proxy:
            assert httpx.post(f"{proxy.url}{path}", content=b"{}", timeout=60).status_code == 200


@pytest.mark.parametrize("path", [*SEARCHES, *IMPORTS])
def test_a_search_or_an_import_that_a_dying_process_leaves_is_answered_by_another(path: str) -> None:
    status, requests = asked_of([DEATH, DEATH, FINE], path, content="{}")
    assert status == 200
    assert requests[2] == 1


@pytest.mark.parametrize("path", [*SEARCHES, *IMPORTS, *CHANGES])
def test_a_refusal_is_the_answer_and_no_other_process_is_bothered(path: str) -> None:
    status, requests = asked_of([BUSY] * 3, path, content="{}")
    assert status == 503
    assert sum(requests) == 1


def test_a_caller_whom_nobody_answered_learns_what_may_be_sent_again() -> None:
    with nginx_before([f"127.0.0.1:{free_port()}"]) as proxy:
        answer = httpx.post(f"{proxy.url}/collections/x/rollback", timeout=60)
    assert answer.status_code == 503
    assert "searches and imports may be sent again" in answer.json()["detail"]


def test_a_stream_that_has_reached_no_process_goes_to_one_that_takes_it() -> None:
    with stand_ins([FINE]) as (well,):
        nowhere = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        with nginx_before([*nowhere, well.address]) as proxy:
            answers = [
                httpx.post(f"{proxy.url}{IMPORTS[0]}", content=slowly(), headers=NDJSON, timeout=60) for _ in range(3)
            ]
    assert {answer.status_code for answer in answers} == {200}
    assert len(well.requests) == 3


def test_of_streams_that_a_dying_process_leaves_only_those_that_came_whole_are_sent_again() -> None:
    with stand_ins([DEATH, DEATH, FINE]) as processes, nginx_before([one.address for one in processes]) as proxy:
        began = httpx.post(f"{proxy.url}{IMPORTS[0]}", content=slowly(), headers=NDJSON, timeout=60)
        assert (began.status_code, sum(len(one.requests) for one in processes)) == (503, 1)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as connection:
            head = f"POST {IMPORTS[0]} HTTP/1.1\r\nHost: a\r\nContent-Type: {NDJSON['Content-Type']}\r\n"
            connection.sendall(f"{head}Content-Length: 3\r\n\r\n{{}}\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def slowly() -> Iterator[bytes]:
    """Two lines of NDJSON, of which the second is not ready when the first is sent."""
    yield b"{}\n"
    time.sleep(0.2)
    yield b"{}\n"
