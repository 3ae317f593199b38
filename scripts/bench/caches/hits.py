"""Hits in memory: the service against a bare Litestar route that returns the same bytes, round by round."""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from scripts.bench.caches.bare import running_bare
from scripts.bench.caches.load import Counted, ask_all, has_wrk, request, wrk
from scripts.bench.caches.passages import fill, queries
from scripts.bench.figures import Figure, median
from tests.tools.running import Running, running_service
from tests.tools.servers import redis_server

PASSAGES = 5_000
QUERIES = 20
ROUNDS = 7
SECONDS = 2
CONNECTIONS = 16


class Round(Struct, frozen=True):
    """One load on one server."""

    counted: Counted
    cpu_seconds: float

    @property
    def cpu(self) -> float:
        """Microseconds for each request."""
        return self.cpu_seconds / self.counted.requests * 1e6


async def measure() -> list[Figure]:
    """Compare throughput at 16 connections, and CPU per request; Redis is configured."""
    return await asyncio.to_thread(_measure) if has_wrk("hits in memory are") else []


def _measure() -> list[Figure]:
    asked = queries(QUERIES)
    requests = [request({"query": query}) for query in asked]
    with tempfile.TemporaryDirectory() as temporary, redis_server() as redis:
        data, bodies = Path(temporary, "data"), Path(temporary, "bodies.json")
        asyncio.run(fill(data, PASSAGES))
        with running_service(data, redis_url=redis.url) as service:
            answers = [answer.body.decode() for answer in ask_all(service.port, requests)]
            bodies.write_text(json.dumps(dict(zip(asked, answers, strict=True))))
            with running_bare(bodies, redis.url) as bare:
                _check(service, bare, requests)
                rounds = [(_load(service, requests), _load(bare, requests)) for _ in range(ROUNDS + 1)]
    hits, bares = [one for one, _ in rounds[1:]], [other for _, other in rounds[1:]]
    ratios = [hit.counted.rate / bare.counted.rate for hit, bare in zip(hits, bares, strict=True)]
    return [
        Figure("bytes of an answer", sum(map(len, answers)) / len(answers)),
        Figure("bare route, 16 connections", median([one.counted.rate for one in bares]), "1/s"),
        Figure("hits in memory, 16 connections", median([one.counted.rate for one in hits]), "1/s"),
        Figure("ratio of throughput", median(ratios), "x", goal=0.7, is_least=True),
        Figure("CPU of the bare route per request", median([one.cpu for one in bares]), "us"),
        Figure("CPU of the service per hit", median([one.cpu for one in hits]), "us", goal=120),
        Figure("p99 of hits at 16 connections", median([one.counted.p99 for one in hits]) / 1000, "ms"),
    ]


def _check(service: Running, bare: Running, requests: Sequence[bytes]) -> None:
    """Raise where the service answers anything but hits, or the two answer differently."""
    hits, others = ask_all(service.port, requests), ask_all(bare.port, requests)
    if not all(hit.is_hit and hit.body == other.body for hit, other in zip(hits, others, strict=True)):
        raise RuntimeError("the two do not return the same bytes")


def _load(server: Running, requests: Sequence[bytes]) -> Round:
    before = server.cpu_seconds()
    counted = wrk(server.port, requests, CONNECTIONS, SECONDS)
    return Round(counted, server.cpu_seconds() - before)
