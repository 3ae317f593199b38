"""Whatever happens to Redis: answers come and are right, writes wait or go on as promised, and Redis is used again."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Self

import httpx
import pytest

from tests.cluster.processes import shared_processes
from tests.tools.running import free_port, running_service
from tests.tools.servers import RunningRedis, redis_server, wait_until

DOCUMENTS: Final = 40
QUERIES: Final = [f"what is said of kettle number {number}" for number in range(150)]
"""Their answers do not fit into a megabyte of memory together, so that Redis is asked all the time."""
LIMIT: Final = 20
ASKING: Final = 4
TROUBLED_SECONDS: Final = 1.5
USED_AGAIN_SECONDS: Final = 60.0
"""It is tried every second; a busy machine takes long for the questions that find it out."""
ROOMY: Final = "500"
"""Milliseconds for Redis that a busy machine does not use up while it is well, and a frozen one does."""
NO_STORE: Final = {"Cache-Control": "no-store"}


class Asked:
    """A service on Redis, and the right answers to all queries."""

    def __init__(self, url: str, redis: RunningRedis | None = None) -> None:
        self.redis = redis
        self.client = httpx.Client(base_url=url, timeout=60)
        self.right: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def fill(self) -> None:
        """Import what is asked for, and learn the right answers."""
        documents = [
            {"id": f"d{number}", "text": f"Kettle number {number} boils. " + f"It was made by smith {number}. " * 12}
            for number in range(DOCUMENTS)
        ]
        assert self.client.post("/collections/documents/documents", json=documents).json()["created"] == DOCUMENTS
        self.right = {query: self.ask(query, NO_STORE).json() for query in QUERIES}

    def ask(self, query: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        answer = self.client.post("/search", json={"query": query, "limit": LIMIT}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer

    def tiers(self) -> Counter[str]:
        """Ask everything once, see that the answers are right, and count where they come from."""
        found: Counter[str] = Counter()
        for query in QUERIES:
            answer = self.ask(query)
            assert answer.json() == self.right[query]
            found[answer.headers["cache-status"].partition("detail=")[2].partition(";")[0]] += 1
        return found

    def write(self, number: int) -> httpx.Response:
        """Import a document of another collection, which nobody else asks for."""
        document = {"id": "x", "text": "A harbour.", "metadata": {"number": number}}
        return self.client.post("/collections/harbours/documents", json=document)

    def written(self) -> int:
        """Return the number of that document, as a search tells it."""
        answer = self.client.post("/search", json={"query": "harbour", "collection": "harbours"})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["hits"][0]["metadata"]["number"])

    def is_redis_used(self) -> bool:
        """Whether answers come from Redis, and go there."""
        self.tiers()
        return self.tiers()["redis"] > len(QUERIES) // 4

    @contextmanager
    def asked_all_the_time(self) -> Iterator[None]:
        """Ask from several threads; at the end, all answers must have come, and have been right."""
        is_over = threading.Event()
        wrong: list[str] = []

        def keep_asking() -> None:
            while not is_over.is_set():
                query = random.choice(QUERIES)
                try:
                    if self.ask(query).json() != self.right[query]:
                        wrong.append(query)
                except (AssertionError, httpx.HTTPError) as error:
                    wrong.append(repr(error))

        threads = [threading.Thread(target=keep_asking) for _ in range(ASKING)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        assert not wrong, wrong[:3]


Trouble = Callable[[RunningRedis], AbstractContextManager[None]]


@contextmanager
def killed(redis: RunningRedis) -> Iterator[None]:
    redis.kill()
    yield
    redis.restart()


@contextmanager
def frozen(redis: RunningRedis) -> Iterator[None]:
    redis.freeze()
    try:
        yield
    finally:
        redis.thaw()


@contextmanager
def out_of_memory(redis: RunningRedis) -> Iterator[None]:
    redis.say("CONFIG", "SET", "maxmemory", 1)
    yield
    redis.say("CONFIG", "SET", "maxmemory", 0)


@contextmanager
def read_only(redis: RunningRedis) -> Iterator[None]:
    redis.say("REPLICAOF", "127.0.0.1", free_port())
    yield
    redis.say("REPLICAOF", "NO", "ONE")


TROUBLES: Mapping[str, Trouble] = {
    "killed": killed,
    "frozen": frozen,
    "out of memory": out_of_memory,
    "read only": read_only,
}


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    with (
        redis_server() as redis,
        running_service(redis_url=redis.url, redis_budget_ms=ROOMY, cache_memory_mb="1") as service,
        Asked(service.url, redis) as asked,
    ):
        asked.fill()
        yield asked


@pytest.fixture
def redis(asked: Asked) -> RunningRedis:
    """Redis, well and used."""
    assert asked.redis
    wait_until(asked.is_redis_used)
    return asked.redis


@pytest.mark.parametrize("trouble", TROUBLES)
def test_reads_are_right_and_imports_go_on_while_redis_is_unwell(
    asked: Asked, redis: RunningRedis, trouble: str
) -> None:
    assert asked.write(1).status_code == 200
    assert asked.written() == 1
    with asked.asked_all_the_time(), TROUBLES[trouble](redis):
        time.sleep(TROUBLED_SECONDS)
        assert asked.write(2).json()["failures"] == 0
        assert asked.written() == 2
        assert asked.tiers().total() == len(QUERIES)
    wait_until(asked.is_redis_used, USED_AGAIN_SECONDS)
    assert asked.written() == 2


def test_reads_are_right_while_redis_is_emptied(asked: Asked, redis: RunningRedis) -> None:
    with asked.asked_all_the_time():
        for _ in range(5):
            redis.say("FLUSHALL")
            time.sleep(0.3)
    wait_until(asked.is_redis_used, USED_AGAIN_SECONDS)


@pytest.mark.parametrize("trouble", ["killed", "frozen"])
def test_reads_are_right_while_redis_comes_and_goes(asked: Asked, redis: RunningRedis, trouble: str) -> None:
    with asked.asked_all_the_time():
        for seconds in (0.05, 0.2, 0.4, 0.1, 0.8):
            with TROUBLES[trouble](redis):
                time.sleep(seconds)
            time.sleep(0.5)
    wait_until(asked.is_redis_used, USED_AGAIN_SECONDS)


def test_a_service_starts_without_its_redis_and_uses_it_when_it_comes() -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with (
        running_service(redis_url=url, redis_budget_ms=ROOMY, cache_memory_mb="1") as service,
        Asked(service.url) as asked,
    ):
        asked.fill()
        with asked.asked_all_the_time():
            assert asked.write(1).status_code == 200
            assert set(asked.tiers()) <= {"", "memory"}
            assert asked.written() == 1
        with redis_server(port=port):
            wait_until(asked.is_redis_used, USED_AGAIN_SECONDS)
        assert asked.tiers().total() == len(QUERIES)


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A service on a store that other processes may share."""
    directory = tmp_path_factory.mktemp("shared")
    with (
        redis_server() as redis,
        shared_processes(1, redis.url, directory, RETRIEVAL_REDIS_BUDGET_MS=ROOMY) as (process,),
        Asked(process.url, redis) as asked,
    ):
        yield asked


@pytest.mark.parametrize("trouble", TROUBLES)
def test_writes_that_redis_coordinates_wait_for_it_and_reads_go_on(sharing: Asked, trouble: str) -> None:
    assert sharing.redis
    before = random.randrange(10**6)
    wait_until(lambda: sharing.write(before).status_code == 200)
    assert sharing.written() == before
    with TROUBLES[trouble](sharing.redis):
        refused = sharing.write(before + 1)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "Redis" in refused.json()["detail"]
        assert sharing.written() == before
    wait_until(lambda: sharing.write(before + 1).status_code == 200, USED_AGAIN_SECONDS)
    assert sharing.written() == before + 1
