"""Searches whose embeddings are cached and whose results are not, over 20,000 passages: through HTTP and without."""

import asyncio
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice, product
from pathlib import Path

import uvloop
from msgspec import Struct

from scripts.bench.caches.load import ask_all, copied, has_wrk, request, wrk
from scripts.bench.caches.passages import build_index, fill, queries
from scripts.bench.callers import ask_each
from scripts.bench.figures import Figure, median
from service.caches.base import Demands
from service.models import DEFAULT_TENANT, Mode, SearchRequest
from service.settings import Settings
from service.stages import Stages
from service.telemetry import Telemetry
from service.wiring import Services, open_services
from tests.tools.running import Running, running_service
from tests.tools.servers import redis_server

PASSAGES = 20_000
INDEXED, SCANNED = "with an index", "scanned"
INDEX_AT = {INDEXED: 10_000, SCANNED: 50_000}
"""`RETRIEVAL_EMBEDDED_INDEX_AT`; the second is the default."""
MODES: tuple[Mode, ...] = "vector", "hybrid"
IN_FLIGHT = 16
ROUNDS = 3
SECONDS = 2
DIRECTLY = 2_000
"""Searches of a round without HTTP."""
LEAST = 1_000


class Place(Struct, frozen=True):
    """A kind of index, and a mode of searching."""

    index: str
    mode: Mode


class Through(Struct, frozen=True):
    """What one round through HTTP showed."""

    rate: float
    cpu_seconds: float
    """Of the service, for each search."""


async def measure() -> list[Figure]:
    """Count searches in a second, 16 in flight; Redis is configured, and gets the results."""
    return await asyncio.to_thread(_measure) if has_wrk("searches in a second are") else []


def _measure() -> list[Figure]:
    places = [Place(index, mode) for index, mode in product(INDEX_AT, MODES)]
    with tempfile.TemporaryDirectory() as temporary, redis_server() as redis:
        served = _filled(Path(temporary))
        opened = {index: copied(data, f"{data.name}-opened") for index, data in served.items()}
        with _running(served, redis.url) as services:
            through = {place: [_ask(services[place.index], place.mode)] for place in places}
            directly = {place: uvloop.run(_search(opened[place.index], place, redis.url)) for place in places}
            for _, place in product(range(ROUNDS), places):
                through[place].append(_ask(services[place.index], place.mode))
    return [figure for place in places for figure in _figures(place, through[place][1:], directly[place])]


def _figures(place: Place, through: Sequence[Through], directly: Sequence[float]) -> list[Figure]:
    name = f"{place.mode} searches, {place.index}"
    rates, cpu = [one.rate for one in through], [one.cpu_seconds for one in through]
    return [
        Figure(f"{name}, through HTTP", median(rates), "1/s", goal=LEAST, is_least=True),
        Figure(f"{name}, without HTTP", median(directly), "1/s"),
        Figure(f"{name}, CPU of the service each", median(cpu) * 1e6, "us"),
    ]


def _filled(directory: Path) -> dict[str, Path]:
    """Make a data directory of each kind of index, with the same passages."""
    scanned = directory / "scanned"
    asyncio.run(fill(scanned, PASSAGES))
    indexed = copied(scanned, "indexed")
    asyncio.run(build_index(indexed, INDEX_AT[INDEXED]))
    return {INDEXED: indexed, SCANNED: scanned}


@contextmanager
def _running(served: dict[str, Path], redis_url: str) -> Iterator[dict[str, Running]]:
    """Run a service on each directory, each with its embeddings cached."""
    with ExitStack() as stack:
        services = {}
        for index, data in served.items():
            settings = {"redis_url": redis_url, "embedded_index_at": str(INDEX_AT[index]), "warm_queries": "0"}
            services[index] = stack.enter_context(running_service(data, **settings))
            ask_all(services[index].port, (request({"query": query}) for query in queries()))
        yield services


def _ask(service: Running, mode: Mode) -> Through:
    requests = [request({"query": query, "mode": mode}, Cache_Control="no-cache") for query in queries()]
    before = service.cpu_seconds()
    counted = wrk(service.port, requests, IN_FLIGHT, SECONDS)
    return Through(counted.rate, (service.cpu_seconds() - before) / counted.requests)


async def _search(directory: Path, place: Place, redis_url: str) -> list[float]:
    """Return the searches in a second of each round, all in this process."""
    settings = Settings(
        data_dir=directory, redis_url=redis_url, embedded_index_at=INDEX_AT[place.index], warm_queries=0
    )
    requests = [SearchRequest(query=query, mode=place.mode) for query in queries()]
    async with open_services(settings, Telemetry()) as services:
        await _answer_all(services, requests)
        return [await _answer_all(services, islice(cycle(requests), DIRECTLY)) for _ in range(ROUNDS)]


async def _answer_all(services: Services, requests: Iterable[SearchRequest]) -> float:
    start = time.perf_counter()

    async def answer(one: SearchRequest) -> None:
        await services.search.answer(DEFAULT_TENANT, one, Demands(reads=False), Stages(services.telemetry))

    return await ask_each(answer, requests, IN_FLIGHT) / (time.perf_counter() - start)
