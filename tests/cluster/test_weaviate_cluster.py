"""The service over three nodes of Weaviate that hold everything thrice: one may go at any time, and nothing is lost."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx
import pytest
from weaviate.proto.v1 import search_get_pb2 as gets

from service.caches.freshness import SETTLED_TTL_SECONDS
from tests.cluster.traffic import Traffic
from tests.tools.refusing import refusing_way
from tests.tools.running import Running, running_service
from tests.tools.servers import redis_server
from tests.tools.weaviate import RunningNode, RunningWeaviate, bare_settings_of, weaviate_cluster

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SEARCHES = 300
"""In each phase."""
BUDGET_MS = "3000"
"""Three nodes, the service and its callers share one machine here."""
RECOVERY_SECONDS = 60
REPAIR_SECONDS = 30
"""In which the copies agree again after all nodes died: the one that is asked may lack what the others acknowledged."""
AWAY_SECONDS = 6
"""At least, so that the node is known to have missed writes."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningWeaviate]:
    with weaviate_cluster(3) as running:
        yield running


@pytest.fixture(scope="module")
def service(cluster: RunningWeaviate) -> Iterator[Running]:
    with redis_server() as redis:
        settings = bare_settings_of(*cluster.nodes) | {"weaviate_replication": "3", "redis_url": redis.url}
        settings["weaviate_budget_ms"] = BUDGET_MS
        with running_service(None, None, **settings) as running:
            yield running


@pytest.fixture
async def client(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as opened:
        yield opened


async def metrics(client: httpx.AsyncClient) -> list[str]:
    return (await client.get("/metrics")).text.splitlines()


async def open_breakers(client: httpx.AsyncClient) -> list[str]:
    return [
        line for line in await metrics(client) if line.startswith("retrieval_breaker_open") and line.endswith(" 1.0")
    ]


async def is_up(client: httpx.AsyncClient) -> float:
    """Return what an alert sees of Weaviate."""
    (line,) = [one for one in await metrics(client) if one.startswith('retrieval_dependency_up{dependency="store"}')]
    return float(line.rpartition(" ")[2])


async def until_all_are_used(client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while await open_breakers(client):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_every_search_is_answered_and_no_document_is_lost_while_one_node_dies_and_another_freezes(
    client: httpx.AsyncClient, cluster: RunningWeaviate
) -> None:
    traffic = Traffic(client)
    for _ in range(20):
        assert await traffic.import_documents()
    async with traffic.flowing():
        await traffic.phase("all are well", SEARCHES)
        await asyncio.to_thread(cluster.nodes[0].kill)
        await traffic.phase("one is dead", SEARCHES)
        await asyncio.to_thread(cluster.nodes[0].restart)
        await traffic.phase("it is back", SEARCHES)
        await until_all_are_used(client)
        cluster.nodes[1].freeze()
        try:
            await traffic.phase("one is frozen", SEARCHES)
            await asyncio.sleep(AWAY_SECONDS)
        finally:
            cluster.nodes[1].thaw()
        await traffic.phase("it is thawed", SEARCHES)
    sys.stdout.write(f"\n{traffic.summary()}\n")
    assert not traffic.failures
    await until_all_are_used(client)
    assert not await traffic.lost()


async def test_without_any_node_what_is_cached_is_served_and_the_rest_is_refused_until_they_are_back(
    client: httpx.AsyncClient, cluster: RunningWeaviate
) -> None:
    known, new = ({"query": query, "collection": "telescopes"} for query in ("red telescope", "blue telescope"))
    documents = [{"id": "a", "text": "A red telescope on the roof."}, {"id": "b", "text": "A blue telescope."}]
    assert (await client.post("/collections/telescopes/documents", json=documents)).is_success
    before = (await client.post("/search", json=known)).json()
    for node in cluster.nodes:
        await asyncio.to_thread(node.kill)
    cached = await client.post("/search", json=known)
    assert cached.status_code == httpx.codes.OK
    assert cached.json()["hits"] == before["hits"]
    for _ in range(5):
        refused = await client.post("/search", json=new)
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert int(refused.headers["retry-after"]) >= 1
    await until_left_alone(client)
    assert await is_up(client) == 0
    await asyncio.to_thread(restart, cluster.nodes)
    await until_all_are_used(client)
    assert await is_up(client) == 1
    deadline = time.monotonic() + REPAIR_SECONDS
    while found_in(found := await client.post("/search", json=new)) != ["b", "a"]:
        assert time.monotonic() < deadline, found.text
        await asyncio.sleep(0.1)
    assert found.json()["degraded"] == []
    assert seconds_kept(found) <= SETTLED_TTL_SECONDS


def found_in(answer: httpx.Response) -> list[str]:
    return [hit["document_id"] for hit in answer.json()["hits"]]


def seconds_kept(answer: httpx.Response) -> float:
    """Return how long a result may still be served from the caches."""
    return float(answer.headers["cache-status"].rpartition("ttl=")[2])


async def test_where_the_keyword_leg_is_refused_the_vector_leg_answers_and_that_is_not_cached(
    weaviate: RunningNode,
) -> None:
    with refusing_way(weaviate.grpc_address) as (address, way):
        settings = bare_settings_of(weaviate) | {"weaviate_grpc_address": address}
        with running_service(None, None, **settings) as service:
            async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
                documents = [{"id": "a", "text": "A red lantern."}, {"id": "b", "text": "A blue lantern."}]
                assert (await client.post("/collections/lanterns/documents", json=documents)).is_success
                way.refuses = is_keyword_search
                for _ in range(2):
                    answer = (
                        await client.post("/search", json={"query": "red lantern", "collection": "lanterns"})
                    ).json()
                    assert answer["degraded"] == ["keyword"]
                    assert answer["hits"][0]["document_id"] == "a"
                assert way.refused == 2
                way.refuses = lambda *_: False
                answer = (await client.post("/search", json={"query": "red lantern", "collection": "lanterns"})).json()
                assert answer["degraded"] == []
                assert (await client.delete("/collections/lanterns")).is_success


def is_keyword_search(path: str, request: bytes) -> bool:
    return path.endswith("/Search") and gets.SearchRequest.FromString(request).HasField("bm25_search")


def restart(nodes: Sequence[RunningNode]) -> None:
    """Start nodes that are dead: none is ready before most are there."""
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait_ready()


async def until_left_alone(client: httpx.AsyncClient) -> None:
    """Wait until the service says that it leaves Weaviate alone."""
    for _ in range(200):
        if (await client.get("/health")).json()["dependencies"]["store"]["breaker"] == "open":
            return
        await asyncio.sleep(0.1)
    raise AssertionError("Weaviate is not left alone")
