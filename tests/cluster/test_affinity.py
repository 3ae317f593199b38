"""Clients before nginx: new ones spread evenly over the processes, each stays on its own, and moves when that dies."""

import http.client
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from scripts.nginx.settings import Ingress, load_ingress
from tests.tools.nginx import RunningNginx, new_addresses, new_client, nginx_before
from tests.tools.replicas import Replica, replicas

NEW_CLIENTS = 3000
COUNT = re.compile(r'retrieval_request_duration_seconds_count\{route="/collections",status="200"\} (\d+)')
ADDRESSES = new_addresses()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    with replicas(3, tmp_path_factory.mktemp("affinity")) as started:
        yield started


@pytest.fixture(scope="module")
def proxy(processes: list[Replica]) -> Iterator[RunningNginx]:
    with nginx_before([process.address for process in processes]) as running:
        yield running


def with_affinity(by: str) -> Ingress:
    ingress = load_ingress()
    return replace(ingress, affinity=replace(ingress.affinity, by=by))


def answered(processes: list[Replica]) -> list[int]:
    """How many requests each process says that it has answered."""
    counts = [COUNT.search(httpx.get(f"{process.url}/metrics", timeout=60).text) for process in processes]
    return [int(count[1]) if count else 0 for count in counts]


def answering(proxy: RunningNginx, client: httpx.Client) -> str:
    """Ask once, and tell which process it was that answered."""
    answer = client.get("/collections")
    assert answer.status_code == 200, answer.text
    upstreams: str = proxy.request(answer.headers["x-request-id"])["upstream"]
    return upstreams.rpartition(" ")[2]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["cookie", "none"])
def test_new_clients_spread_evenly(processes: list[Replica], by: str) -> None:
    before = answered(processes)
    with nginx_before([process.address for process in processes], with_affinity(by)) as proxy:
        for _ in range(NEW_CLIENTS):
            new = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30, source_address=(next(ADDRESSES), 0))
            new.request("GET", "/collections")
            assert new.getresponse().status == 200
            new.close()
    shares = [after - earlier for after, earlier in zip(answered(processes), before, strict=True)]
    assert sum(shares) == NEW_CLIENTS
    assert max(shares) <= 1.1 * min(shares), shares


def test_a_client_stays_on_its_process(proxy: RunningNginx) -> None:
    chosen = Counter[str]()
    for _ in range(6):
        with new_client(proxy, next(ADDRESSES)) as client:
            own = {answering(proxy, client) for _ in range(10)}
        assert len(own) == 1
        chosen.update(own)
    assert set(chosen.values()) == {2}


def test_a_client_that_comes_back_from_another_address_is_known_by_its_cookie(proxy: RunningNginx) -> None:
    with new_client(proxy, next(ADDRESSES)) as client:
        own = answering(proxy, client)
        cookies = dict(client.cookies)
    for _ in range(5):
        with new_client(proxy, next(ADDRESSES)) as later:
            later.cookies.update(cookies)
            assert answering(proxy, later) == own


def test_the_cookie_is_given_once_and_tells_nothing_of_the_network(proxy: RunningNginx) -> None:
    with new_client(proxy, next(ADDRESSES)) as client:
        cookie = client.get("/collections").headers["set-cookie"]
        assert "set-cookie" not in client.get("/collections").headers
    assert re.fullmatch(r"retrieval_pod=[1-3]; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax", cookie)


def test_a_cookie_that_names_nobody_is_replaced(proxy: RunningNginx) -> None:
    with new_client(proxy, next(ADDRESSES)) as client:
        answer = client.get("/collections", headers={"cookie": "retrieval_pod=127.0.0.1:22"})
    assert answer.status_code == 200
    assert "retrieval_pod=" in answer.headers["set-cookie"]


def test_a_client_whose_process_dies_moves_without_an_error_and_stays_where_it_came(
    proxy: RunningNginx, processes: list[Replica]
) -> None:
    dead = processes[0]
    with ExitStack() as stack:
        clients = [stack.enter_context(new_client(proxy, next(ADDRESSES))) for _ in range(6)]
        homes = [answering(proxy, client) for client in clients]
        dead.kill()
        stack.callback(dead.start)
        for client, home in zip(clients, homes, strict=True):
            now = answering(proxy, client)
            assert now != dead.address if home == dead.address else now == home
            assert [answering(proxy, client) for _ in range(3)] == [now] * 3
    assert homes.count(dead.address) == 2


def test_a_search_that_a_dying_process_leaves_unanswered_is_answered_by_another(
    proxy: RunningNginx, processes: list[Replica]
) -> None:
    with new_client(proxy, next(ADDRESSES)) as client:
        home = answering(proxy, client)
        own = next(process for process in processes if process.address == home)
        with own.dying_at_the_next_request():
            assert answering(proxy, client) != home
    own.start()


def test_by_address_a_client_without_cookies_stays_too(processes: list[Replica]) -> None:
    chosen = Counter[str]()
    with nginx_before([process.address for process in processes], with_affinity("address")) as proxy:
        for address, _ in zip(ADDRESSES, range(30), strict=False):
            own = set()
            for _ in range(2):
                with new_client(proxy, address) as client:
                    own.add(answering(proxy, client))
                    assert not client.cookies
            assert len(own) == 1
            chosen.update(own)
    assert len(chosen) == 3


def test_when_nobody_answers_a_client_learns_that_it_may_send_again(tmp_path: Path) -> None:
    with replicas(1, tmp_path) as (only,), nginx_before([only.address]) as proxy:
        only.kill()
        answer = httpx.get(f"{proxy.url}/collections", headers={"X-Request-ID": "mine"}, timeout=60)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine"
