"""The service over Weaviate beside its bare client doing the same two legs, and beside Weaviate's own hybrid search."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import cycle, islice
from typing import Any

import weaviate
from msgspec import Struct
from weaviate.classes.query import HybridFusion, MetadataQuery
from weaviate.collections import CollectionAsync

from scripts.bench.caches.load import Connection, ask_all, has_wrk, request, wrk
from scripts.bench.caches.passages import fill_store, model, queries
from scripts.bench.callers import ask_each
from scripts.bench.figures import Figure, median
from service.models import Collection
from service.stores.weaviate import open_weaviate_store
from service.stores.weaviate.keywords import Analyser
from service.stores.weaviate.schema import passages_class
from tests.tools.running import Running, running_service
from tests.tools.servers import redis_server
from tests.tools.weaviate import RunningNode, weaviate_server

PASSAGES = 20_000
CANDIDATES = 50
RETURNED = 10
IN_FLIGHT = 16
ASKED = 300
ROUNDS = 3
SECONDS = 3
ALPHA = 0.7


class Measured(Struct, frozen=True):
    """What searches one after the other took."""

    seconds: float
    """The middle one."""
    cpu_seconds: float
    """Of the process that is measured, for each."""


class Question(Struct, frozen=True):
    """A query as each contestant takes it."""

    text: str
    terms: str
    vector: list[float]


async def measure() -> list[Figure]:
    """Compare latency and CPU one after the other, then searches in a second, 16 in flight."""
    if not has_wrk("searches in a second are"):
        return []
    analyser, texts = Analyser(), queries()
    vectors = model().encode(texts).tolist()
    asked = [Question(text, analyser.terms(text), vector) for text, vector in zip(texts, vectors, strict=True)]
    with weaviate_server() as node, redis_server() as redis:
        async with open_weaviate_store([node.url], [node.grpc_address]) as store:
            collection = await fill_store(store, PASSAGES)
        settings = {
            "store": "weaviate",
            "weaviate_url": node.url,
            "weaviate_grpc_address": node.grpc_address,
            "redis_url": redis.url,
            "warm_queries": "0",
        }
        with running_service(**settings) as service:
            ask_all(service.port, (request({"query": one.text}) for one in asked))
            async with _bare(node, collection) as bare:
                return await _compare(service, bare, asked)


async def _compare(service: Running, bare: CollectionAsync[Any, Any], asked: list[Question]) -> list[Figure]:
    ids, texts = [], []
    through = []
    for _ in range(ROUNDS):
        ids.append(await _one_by_one(lambda one: _legs(bare, one, []), asked))
        texts.append(await _one_by_one(lambda one: _legs(bare, one, ["passage"]), asked))
        through.append(await asyncio.to_thread(_through_http, service, asked))
    native, both = [], []
    rates: dict[str, list[float]] = {"hybrid": [], "vector": []}
    for _ in range(ROUNDS):
        native.append(await _rate(lambda one: _native(bare, one), asked))
        both.append(await _rate(lambda one: _legs(bare, one, ["passage"]), asked))
        for mode, found in rates.items():
            found.append(await asyncio.to_thread(_served, service, asked, mode))
    own, with_text, without = (_middle(found) for found in (through, texts, ids))
    return [
        Figure("bare client, two legs with text, p50", with_text.seconds * 1e3, "ms"),
        Figure("bare client, two legs of ids alone, p50", without.seconds * 1e3, "ms"),
        Figure("service through HTTP, hybrid, p50", own.seconds * 1e3, "ms"),
        Figure("p50 of the service, against legs with text", own.seconds / with_text.seconds, "x", goal=1.15),
        Figure("p50 of the service, against legs of ids", own.seconds / without.seconds, "x"),
        Figure("CPU of a search, service against legs with text", own.cpu_seconds / with_text.cpu_seconds, "x", 1.3),
        Figure("CPU of a search, service against legs of ids", own.cpu_seconds / without.cpu_seconds, "x"),
        Figure("CPU of a search, service", own.cpu_seconds * 1e6, "us"),
        Figure("Weaviate's own hybrid search by its client", median(native), "1/s"),
        Figure("bare client, two legs with text", median(both), "1/s"),
        Figure("service through HTTP, hybrid", median(rates["hybrid"]), "1/s", goal=1000, is_least=True),
        Figure("service through HTTP, vector", median(rates["vector"]), "1/s", goal=1000, is_least=True),
        Figure("service against Weaviate's own", median(rates["hybrid"]) / median(native), "x", 1.2, is_least=True),
    ]


@asynccontextmanager
async def _bare(node: RunningNode, collection: Collection) -> AsyncIterator[CollectionAsync[Any, Any]]:
    """Open the client as its documentation says."""
    client = weaviate.use_async_with_local("127.0.0.1", node.ports["http"], node.ports["grpc"])
    async with client:
        yield client.collections.get(passages_class(collection.name)).with_tenant(collection.physical)


async def _legs(bare: CollectionAsync[Any, Any], one: Question, properties: list[str]) -> object:
    near = bare.query.near_vector(
        one.vector, limit=CANDIDATES, return_properties=properties, return_metadata=MetadataQuery(distance=True)
    )
    matching = bare.query.bm25(
        one.terms,
        query_properties=["terms"],
        limit=CANDIDATES,
        return_properties=properties,
        return_metadata=MetadataQuery(score=True),
    )
    return await asyncio.gather(near, matching)


async def _native(bare: CollectionAsync[Any, Any], one: Question) -> object:
    return await bare.query.hybrid(
        one.terms,
        vector=one.vector,
        query_properties=["terms"],
        alpha=ALPHA,
        fusion_type=HybridFusion.RELATIVE_SCORE,
        limit=RETURNED,
        return_properties=["passage"],
        return_metadata=MetadataQuery(score=True),
    )


async def _one_by_one(ask: Callable[[Question], Awaitable[object]], asked: Iterable[Question]) -> Measured:
    seconds = []
    before = time.process_time()
    for one in islice(cycle(asked), ASKED):
        start = time.perf_counter()
        await ask(one)
        seconds.append(time.perf_counter() - start)
    return Measured(median(seconds), (time.process_time() - before) / len(seconds))


def _through_http(service: Running, asked: Iterable[Question]) -> Measured:
    connection = Connection(service.port)
    before = service.cpu_seconds()
    seconds = [
        connection.ask(request({"query": one.text}, Cache_Control="no-cache")).seconds
        for one in islice(cycle(asked), ASKED)
    ]
    connection.close()
    return Measured(median(seconds), (service.cpu_seconds() - before) / len(seconds))


async def _rate(ask: Callable[[Question], Awaitable[object]], asked: Iterable[Question]) -> float:
    """Return the searches in a second, so many in flight."""
    start = time.perf_counter()
    count = await ask_each(ask, islice(cycle(asked), ASKED * 4), IN_FLIGHT)
    return count / (time.perf_counter() - start)


def _served(service: Running, asked: Iterable[Question], mode: str) -> float:
    requests = [request({"query": one.text, "mode": mode}, Cache_Control="no-cache") for one in asked]
    return wrk(service.port, requests, IN_FLIGHT, SECONDS).rate


def _middle(found: list[Measured]) -> Measured:
    return Measured(median([one.seconds for one in found]), median([one.cpu_seconds for one in found]))
