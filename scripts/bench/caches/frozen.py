"""Redis frozen under load: what any request waits for it, what it costs once left alone, and when it is used again."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count, cycle
from pathlib import Path
from threading import Timer

from msgspec import Struct

from scripts.bench.caches.load import Answer, Connection, ask_all, ask_steadily, copied, request
from scripts.bench.caches.passages import fill, queries
from scripts.bench.figures import Figure, median, percentile
from tests.tools.running import Running, running_service
from tests.tools.servers import RunningRedis, redis_server

PASSAGES = 5_000
CALLERS = 8
RATE = 150
"""Requests a second."""
SLICE_SECONDS = 4
ROUNDS = 5
BUDGET_SECONDS = 0.05
NOTICED_SECONDS = 2.0
"""After the freeze; then the breaker is open."""
THAWED = 400
"""Queries whose answers only Redis holds, asked one after another once it has thawed."""
PAUSE_SECONDS = 0.02


class Phases(Struct, frozen=True):
    """The answers of each phase."""

    well: list[Answer]
    freezing: list[Answer]
    frozen: list[list[Answer]]
    without: list[list[Answer]]
    """Of the service that has no Redis, in turn with the frozen slices."""
    recovery_seconds: float


async def measure() -> list[Figure]:
    """Compare a service whose Redis is frozen with one that has none, slice by slice."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    only_in_redis = [request({"query": query, "limit": 1 + at}) for at in range(2) for query in queries()]
    with tempfile.TemporaryDirectory() as temporary, redis_server() as redis:
        data = Path(temporary, "data")
        asyncio.run(fill(data, PASSAGES))
        other = copied(data, "without")
        with running_service(data, redis_url=redis.url, warm_queries="0") as service:
            ask_all(service.port, only_in_redis[:THAWED])
        with (
            running_service(data, redis_url=redis.url, warm_queries="0") as service,
            running_service(other, warm_queries="0") as without,
        ):
            return _figures(_phases(service, without, redis, only_in_redis))


def _phases(service: Running, without: Running, redis: RunningRedis, only_in_redis: Sequence[bytes]) -> Phases:
    loads = {running.port: _uncached() for running in (service, without)}

    def ask(running: Running, seconds: float) -> list[Answer]:
        return ask_steadily(running.port, loads[running.port], CALLERS, RATE, seconds)

    for running in (service, without):
        ask_all(running.port, (next(loads[running.port]) for _ in range(len(queries()))))
        ask(running, SLICE_SECONDS)
    well = ask(service, SLICE_SECONDS)
    freeze = Timer(NOTICED_SECONDS / 4, redis.freeze)
    freeze.start()
    freezing = ask(service, NOTICED_SECONDS)
    freeze.join()
    slices = [(ask(service, SLICE_SECONDS), ask(without, SLICE_SECONDS)) for _ in range(ROUNDS)]
    redis.thaw()
    recovery_seconds = _recovery_seconds(service, only_in_redis)
    return Phases(well, freezing, [one for one, _ in slices], [other for _, other in slices], recovery_seconds)


def _uncached() -> Iterator[bytes]:
    """Yield requests whose embeddings are soon cached, but whose results never are: each has an alpha of its own."""
    for number, query in zip(count(), cycle(queries())):
        yield request({"query": query, "alpha": 0.7 + number / 1e6})


def _recovery_seconds(service: Running, only_in_redis: Sequence[bytes]) -> float:
    """Return how long it takes until an answer comes from Redis again."""
    start = time.perf_counter()
    with closing(Connection(service.port)) as connection:
        for one in only_in_redis:
            if "detail=redis" in connection.ask(one).cache_status:
                return time.perf_counter() - start
            time.sleep(PAUSE_SECONDS)
    return float("inf")


def _figures(phases: Phases) -> list[Figure]:
    frozen, without = [_p99(one) for one in phases.frozen], [_p99(one) for one in phases.without]
    all_frozen = [answer for answers in phases.frozen for answer in answers]
    waits = [answer.redis_seconds for answer in (*phases.freezing, *all_frozen)]
    pooled = _p99(all_frozen) / _p99([answer for answers in phases.without for answer in answers])
    return [
        Figure(f"p99 while Redis is well, {RATE} requests a second", _p99(phases.well) * 1000, "ms"),
        Figure("longest wait for Redis, frozen", max(waits) * 1000, "ms", goal=BUDGET_SECONDS * 1000),
        Figure("requests that waited more than 1 ms for it", sum(wait > 1e-3 for wait in waits)),
        Figure("p99 while it freezes", _p99(phases.freezing) * 1000, "ms"),
        Figure("p99 while it is left alone", median(frozen) * 1000, "ms"),
        Figure("p99 of a service without Redis", median(without) * 1000, "ms"),
        Figure("ratio of p99, all slices together", pooled, "x", goal=1.3),
        Figure("longest wait for Redis while it is left alone", max(_waits(all_frozen)) * 1000, "ms"),
        Figure("from the thaw to the first hit in Redis", phases.recovery_seconds, "s", goal=5),
    ]


def _p99(answers: Sequence[Answer]) -> float:
    return percentile([answer.seconds for answer in answers], 0.99)


def _waits(answers: Sequence[Answer]) -> list[float]:
    return [answer.redis_seconds for answer in answers]
