"""What HTTP adds: `/search` against the same embedding and store calls made directly, round by round."""

import asyncio
import csv
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

from scripts.bench.callers import ask_each
from scripts.bench.figures import Figure, median
from service.embedders.batching import open_embedder
from service.embedders.onnx import load_onnx_model
from service.models import Collection
from service.search.ranking import fuse
from service.stores.base import Store
from service.stores.embedded import open_embedded_store
from tests.tools.running import SHARED_DATA, Client, Running, running_service

ROUNDS = 7
SERIAL = 150
IN_FLIGHT = 16
CONCURRENT = 800
LEG = 50
LIMIT = 10

Search = Callable[[str], Awaitable[None]]


async def measure() -> list[Figure]:
    """Compare medians of a serial caller, and CPU per request at 16 in flight."""
    queries = _queries()
    with tempfile.TemporaryDirectory() as temporary:
        served, direct = Path(temporary, "served"), Path(temporary, "direct")
        with running_service(served) as service:
            service.command("ingest", str(SHARED_DATA / "cisi.jsonl.gz"), "--collection", "documents")
        shutil.copytree(served, direct)
        with running_service(served) as service:
            async with (
                open_embedder(load_onnx_model("all-MiniLM-L6-v2", None, None)) as embedder,
                open_embedded_store(direct, dimensions=embedder.card.dimensions, index_at=50_000) as store,
            ):
                collection = await store.collection("default", "documents")
                if collection is None:
                    raise RuntimeError("nothing was imported")

                async def search(query: str) -> None:
                    await _two_legs(store, collection, await_vector=embedder.embed([query], "query"), query=query)

                return await _compare(service, search, queries)


async def _compare(service: Running, search: Search, queries: Sequence[str]) -> list[Figure]:
    client = Client(service.port)
    through_http, directly, service_cpu, direct_cpu, rates = [], [], [], [], []
    source = cycle(queries)
    for _ in range(ROUNDS):
        directly.append(await _serial(search, list(islice(source, SERIAL))))
        through_http.append(await asyncio.to_thread(_serial_http, client, list(islice(source, SERIAL))))
        batch = list(islice(source, CONCURRENT))
        direct_cpu.append(await _concurrent(search, batch))
        cpu, rate = await asyncio.to_thread(_concurrent_http, service, batch)
        service_cpu.append(cpu)
        rates.append(rate)
    ratios = [one / other for one, other in zip(through_http, directly, strict=True)]
    cpu_ratios = [one / other for one, other in zip(service_cpu, direct_cpu, strict=True)]
    return [
        Figure("p50 embedding + store, called directly", median(directly) * 1000, "ms"),
        Figure("p50 /search through HTTP", median(through_http) * 1000, "ms"),
        Figure("ratio of p50", median(ratios), "x", goal=1.25),
        Figure("CPU per call, directly, 16 in flight", median(direct_cpu) * 1000, "ms"),
        Figure("CPU of the service per request, 16 in flight", median(service_cpu) * 1000, "ms"),
        Figure("ratio of CPU", median(cpu_ratios), "x", goal=1.3),
        Figure("requests per second, 16 in flight", median(rates), "1/s"),
    ]


async def _two_legs(
    store: Store,
    collection: Collection,
    *,
    await_vector: Awaitable[object],
    query: str,
) -> None:
    async def vector_leg() -> list[object]:
        vectors = await await_vector
        return await store.nearest(collection, vectors[0], LEG, None)  # type: ignore[index,return-value]  # an array

    vector, keyword = await asyncio.gather(vector_leg(), store.matching(collection, query, LEG, None))
    ranked = islice(fuse(vector, keyword, 0.7, "relative"), LIMIT)  # type: ignore[arg-type]  # matches
    await store.passages(collection, [one.id for one in ranked])


async def _serial(search: Search, queries: Sequence[str]) -> float:
    seconds = []
    for query in queries:
        start = time.perf_counter()
        await search(query)
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def _serial_http(client: Client, queries: Sequence[str]) -> float:
    seconds = []
    for query in queries:
        start = time.perf_counter()
        client.post("/search", {"query": query})
        seconds.append(time.perf_counter() - start)
    return median(seconds)


async def _concurrent(search: Search, queries: Sequence[str]) -> float:
    """Return the CPU seconds of this process per call."""
    before = _own_cpu()
    await ask_each(search, queries, IN_FLIGHT)
    return (_own_cpu() - before) / len(queries)


def _concurrent_http(service: Running, queries: Sequence[str]) -> tuple[float, float]:
    """Return the CPU seconds of the service per request, and requests per second."""
    pending = iter(queries)
    lock = threading.Lock()

    def caller() -> None:
        client = Client(service.port)
        while True:
            with lock:
                query = next(pending, None)
            if query is None:
                return
            client.post("/search", {"query": query})

    callers = [threading.Thread(target=caller) for _ in range(IN_FLIGHT)]
    before, start = service.cpu_seconds(), time.perf_counter()
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    return (service.cpu_seconds() - before) / len(queries), len(queries) / (time.perf_counter() - start)


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _queries() -> list[str]:
    with (SHARED_DATA / "banking77-train.csv").open(newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]
