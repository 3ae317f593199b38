"""A node of Weaviate that is dead, frozen, slow or cut off costs no answer while another is well."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from weaviate.proto.v1 import search_get_pb2 as gets

from service.errors import StoreUnavailable
from service.resilience.breakers import FAILURES_IN_A_ROW
from service.stores.weaviate.nodes import Node, Nodes, Refused, open_nodes
from tests.tools.servers import Proxy, proxy_to
from tests.tools.weaviate import RunningNode, RunningWeaviate, weaviate_cluster

pytestmark = pytest.mark.anyio

ROOMY_SECONDS = 120
REQUEST = gets.SearchRequest(collection="Thing", limit=1, uses_123_api=True, metadata=gets.MetadataRequest(uuid=True))


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop that the service runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module", autouse=True)
async def one_loop(anyio_backend: object) -> AsyncIterator[None]:
    """Keep one event loop for the whole module, as the service does: gRPC tells a loop of calls that ended late."""
    assert anyio_backend
    yield  # noqa: PT022  # without it the fixture ends at once, and so does the loop


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningWeaviate]:
    with weaviate_cluster(2) as running:
        create_class(running.nodes[0].url, copies=2)
        yield running


@pytest.fixture(scope="module")
def node(weaviate: RunningNode) -> Iterator[RunningNode]:
    create_class(weaviate.url)
    yield weaviate
    httpx.delete(f"{weaviate.url}/v1/schema/Thing", timeout=60).raise_for_status()


@pytest.fixture
def proxy(node: RunningNode) -> Iterator[Proxy]:
    with proxy_to(node.ports["grpc"]) as running:
        yield running


def create_class(url: str, copies: int = 1) -> None:
    """Create an empty class, which all nodes hold."""
    definition = {"class": "Thing", "replicationConfig": {"factor": copies}}
    httpx.post(f"{url}/v1/schema", json=definition, timeout=ROOMY_SECONDS).raise_for_status()


async def ask(node: Node, seconds: float) -> str:
    """Search a class that is empty."""
    reply = await node.stub.Search(REQUEST, timeout=seconds, metadata=node.metadata)
    return "surprised" if reply.results else "well"


async def read(nodes: Nodes) -> str:
    return await nodes.read(ask)


async def is_well(nodes: Nodes) -> bool:
    with suppress(StoreUnavailable):
        return await read(nodes) == "well"
    return False


async def write(nodes: Nodes) -> str:
    return await nodes.write(ask, ROOMY_SECONDS)


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ROOMY_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@asynccontextmanager
async def steady_reads(nodes: Nodes) -> AsyncIterator[list[str]]:
    """Read all the time, by several at once; all must be answered."""
    answers, is_over = list[str](), asyncio.Event()

    async def go_on() -> None:
        while not is_over.is_set():
            answers.append(await read(nodes))
            await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(go_on()) for _ in range(8)]
    await asyncio.sleep(0.2)
    yield answers
    is_over.set()
    await asyncio.gather(*tasks)


@asynccontextmanager
async def opened(cluster: RunningWeaviate) -> AsyncIterator[Nodes]:
    async with open_nodes(cluster.grpc_addresses) as nodes:
        for node in nodes.nodes:
            assert await node.check(ROOMY_SECONDS)
        yield nodes


async def test_reads_go_on_while_a_node_is_frozen_and_it_is_used_again(cluster: RunningWeaviate) -> None:
    async with opened(cluster) as nodes:
        breaker = nodes.nodes[0].breaker
        async with steady_reads(nodes) as answers:
            cluster.nodes[0].freeze()
            try:
                await until(lambda: breaker.is_open)
                before = len(answers)
                await until(lambda: len(answers) > before + 100)
            finally:
                cluster.nodes[0].thaw()
            await until(lambda: not breaker.is_open)
        assert set(answers) == {"well"}


async def test_reads_and_writes_go_on_while_a_node_is_dead_and_it_is_used_again(cluster: RunningWeaviate) -> None:
    async with opened(cluster) as nodes:
        async with steady_reads(nodes) as answers:
            await asyncio.to_thread(cluster.nodes[0].kill)
            for _ in range(10):
                assert await write(nodes) == "well"
            await until(lambda: nodes.nodes[0].breaker.is_open)
            await asyncio.to_thread(cluster.nodes[0].restart)
            await until(lambda: not nodes.nodes[0].breaker.is_open)
        assert set(answers) == {"well"}


async def test_a_write_to_a_node_that_freezes_is_made_on_another(cluster: RunningWeaviate) -> None:
    async with opened(cluster) as nodes:
        nodes.nodes[1].took(ROOMY_SECONDS)  # longer than a busy machine made the other one take
        cluster.nodes[0].freeze()
        try:
            assert await write(nodes) == "well"
            await until(lambda: nodes.nodes[0].breaker.is_open)
        finally:
            cluster.nodes[0].thaw()


async def test_a_single_node_that_is_cut_off_is_left_alone_at_once_and_used_again(proxy: Proxy) -> None:
    async with open_nodes([f"127.0.0.1:{proxy.port}"]) as nodes:
        assert await read(nodes) == "well"
        proxy.cut(is_cut=True)
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(StoreUnavailable, match="UNAVAILABLE"):
                await read(nodes)
        with pytest.raises(StoreUnavailable, match="left alone"):
            await read(nodes)
        proxy.cut(is_cut=False)
        await until(lambda: not nodes.is_open)
        assert await read(nodes) == "well"


async def test_a_single_node_that_is_too_slow_costs_the_budget_and_is_left_alone(proxy: Proxy) -> None:
    async with open_nodes([f"127.0.0.1:{proxy.port}"], budget_seconds=0.2) as nodes:
        assert await nodes.write(ask, ROOMY_SECONDS) == "well"
        proxy.poison("latency", {"latency": 5_000})
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(StoreUnavailable):
                await read(nodes)
        assert nodes.is_open
        proxy.heal()
        await until(lambda: not nodes.is_open)


async def test_connections_that_are_reset_fail_and_come_again(proxy: Proxy) -> None:
    async with open_nodes([f"127.0.0.1:{proxy.port}"]) as nodes:
        assert await read(nodes) == "well"
        proxy.poison("reset_peer", {"timeout": 0})
        with pytest.raises(StoreUnavailable):
            await read(nodes)
        proxy.heal()
        await until(lambda: not nodes.is_open)
        async with asyncio.timeout(ROOMY_SECONDS):
            while not await is_well(nodes):  # noqa: ASYNC110  # gRPC connects again when it sees fit
                await asyncio.sleep(0.05)


async def test_a_slow_node_is_avoided(node: RunningNode, proxy: Proxy) -> None:
    async with open_nodes([f"127.0.0.1:{proxy.port}", node.grpc_address]) as nodes:
        proxy.poison("latency", {"latency": 300})
        asked = list[str]()

        async def noted(asking: Node, seconds: float) -> str:
            asked.append(asking.address)
            return await ask(asking, seconds)

        for _ in range(100):
            assert await nodes.read(noted) == "well"
        assert asked.count(node.grpc_address) > 80


async def test_a_weaviate_that_is_not_there_yet_is_used_when_it_comes(node: RunningNode) -> None:
    with proxy_to(node.ports["grpc"]) as proxy:
        proxy.cut(is_cut=True)
        async with open_nodes([f"127.0.0.1:{proxy.port}"]) as nodes:
            await until(lambda: nodes.is_open)
            proxy.cut(is_cut=False)
            await until(lambda: not nodes.is_open)
            assert await read(nodes) == "well"


async def test_what_weaviate_refuses_is_told_in_its_own_words(weaviate: RunningNode) -> None:
    request = gets.SearchRequest(collection="Nothing", limit=1, uses_123_api=True)
    async with open_nodes([weaviate.grpc_address]) as nodes:
        with pytest.raises(Refused, match="could not find class Nothing"):
            await nodes.read(lambda node, seconds: node.stub.Search(request, timeout=seconds))
