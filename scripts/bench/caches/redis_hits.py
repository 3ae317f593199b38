"""Hits in Redis: what they cost above a hit in memory, against what a GET of the same bytes adds to a bare route.

A GET on an idle loop is shown beside it, but judged by it would be the scheduler: its 20 us where Redis happens to run
on the same core become 100 us where it does not.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path

import redis
import uvloop
from msgspec import Struct, field

from scripts.bench.caches.bare import running_bare
from scripts.bench.caches.load import Connection, ask_all, request
from scripts.bench.caches.passages import fill, queries
from scripts.bench.caches.sizes import overlap, sizes
from scripts.bench.figures import Figure, median, percentile
from service.caches.redis import open_redis
from tests.tools.running import running_service
from tests.tools.servers import RunningRedis, redis_server

PASSAGES = 5_000
QUERIES = 200
WARMING = 50
"""Queries after a start that are not measured."""
ROUNDS = 5
PASSES = 3
"""Of bare GETs in a round."""
FAST_SECONDS = 0.01

Get = Callable[[str], Awaitable[object]]


class Seconds(Struct, frozen=True):
    """What was measured, of each round."""

    from_redis: list[float] = field(default_factory=list)
    from_memory: list[float] = field(default_factory=list)
    by_port: list[float] = field(default_factory=list)
    """What a GET adds to a bare route; the next one too."""
    by_library: list[float] = field(default_factory=list)
    alone_by_port: list[float] = field(default_factory=list)
    alone_by_library: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """For Redis, as the service measured it."""
    slowest: list[float] = field(default_factory=list)
    """The 99th percentile of all hits."""


async def measure() -> list[Figure]:
    """Compare medians of one caller; sizes and precision of what is kept."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    asked = queries(QUERIES + WARMING)
    requests = [request({"query": query}) for query in asked]
    with tempfile.TemporaryDirectory() as temporary, redis_server() as server:
        data, found = Path(temporary, "data"), Seconds()
        asyncio.run(fill(data, PASSAGES))
        with running_service(data, redis_url=server.url, warm_queries="0") as service:
            bodies = [answer.body for answer in ask_all(service.port, requests)]
        ready = Path(temporary, "bodies.json")
        ready.write_text(json.dumps({query: body.decode() for query, body in zip(asked, bodies, strict=True)}))
        with running_bare(ready, server.url) as bare:
            for _ in range(ROUNDS):
                with running_service(data, redis_url=server.url, warm_queries="0") as service:
                    _ask(service.port, requests, found)
                    _ask_bare(bare.port, asked, found)
                    uvloop.run(_get(server, found))
        figures = sizes(server, bodies)
    above = [one - other for one, other in zip(found.from_redis, found.from_memory, strict=True)]
    return [
        Figure("p50 of a hit in memory, through HTTP", median(found.from_memory) * 1000, "ms"),
        Figure("p50 of a hit in Redis, through HTTP", median(found.from_redis) * 1000, "ms"),
        Figure("of which waiting for Redis", median(found.waits) * 1000, "ms"),
        Figure("p99 of cached answers", median(found.slowest) * 1000, "ms", goal=FAST_SECONDS * 1000),
        Figure("a GET alone, our client", median(found.alone_by_port) * 1000, "ms"),
        Figure("a GET alone, redis-py", median(found.alone_by_library) * 1000, "ms"),
        Figure("a GET in a bare route, our client", median(found.by_port) * 1000, "ms"),
        Figure("a GET in a bare route, redis-py", median(found.by_library) * 1000, "ms"),
        Figure("a hit in Redis above one in memory", median(above) * 1000, "ms"),
        Figure("the same, in GETs of our client in a bare route", _ratio(above, found.by_port), "x", goal=1.5),
        Figure("the same, in GETs of redis-py in a bare route", _ratio(above, found.by_library), "x", goal=1.5),
        *figures,
        overlap(),
    ]


def _ratio(above: Sequence[float], bare: Sequence[float]) -> float:
    return median([one / other for one, other in zip(above, bare, strict=True)])


def _ask(port: int, requests: Sequence[bytes], found: Seconds) -> None:
    """Ask each query twice in a row: the first answer stands in Redis, the second in memory."""
    with closing(Connection(port)) as connection:
        pairs = [(connection.ask(one), connection.ask(one)) for one in requests]
    measured = [
        (first, second)
        for first, second in pairs[WARMING:]
        if "detail=redis" in first.cache_status and "detail=memory" in second.cache_status
    ]
    if len(measured) < QUERIES // 2:
        raise RuntimeError(f"only {len(measured)} of {QUERIES} answers came from Redis")
    found.from_redis.append(median([first.seconds for first, _ in measured]))
    found.from_memory.append(median([second.seconds for _, second in measured]))
    found.waits.append(median([first.redis_seconds for first, _ in measured]))
    found.slowest.append(percentile([one.seconds for pair in measured for one in pair], 0.99))


def _ask_bare(port: int, asked: Sequence[str], found: Seconds) -> None:
    """Ask the bare routes in turn, and take the difference that Redis makes."""
    seconds: dict[str, list[float]] = {"/search": [], "/port": [], "/library": []}
    with closing(Connection(port)) as connection:
        for query, path in product(asked, seconds):
            seconds[path].append(connection.ask(request({"query": query}, path)).seconds)
    ready, by_port, by_library = (median(one[WARMING:]) for one in seconds.values())
    found.by_port.append(by_port - ready)
    found.by_library.append(by_library - ready)


async def _get(server: RunningRedis, found: Seconds) -> None:
    """Get the same values with nothing around, on the event loop that the service runs on."""
    library = redis.asyncio.Redis(port=server.port)
    passes: list[tuple[float, float]] = []
    keys = [key.decode() async for key in library.scan_iter("retrieval:v1:result:*")]
    async with open_redis(server.url) as port:
        for _ in range(PASSES):
            by_port = await _timed(lambda key: port.run(key, ("GET", key)), keys)
            by_library = await _timed(library.get, keys)
            passes.append((by_port, by_library))
    await library.aclose()
    found.alone_by_port.append(median([one for one, _ in passes]))
    found.alone_by_library.append(median([other for _, other in passes]))


async def _timed(get: Get, keys: Sequence[str]) -> float:
    """Return the median of one GET after another."""
    seconds = []
    for key in keys:
        start = time.perf_counter()
        await get(key)
        seconds.append(time.perf_counter() - start)
    return median(seconds)
