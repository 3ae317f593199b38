"""The nodes of a Weaviate: each call goes to one that is well, in its time, and not too many at once."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final, TypeVar

import grpc
from weaviate.proto.v1 import health_weaviate_pb2 as health
from weaviate.proto.v1 import weaviate_pb2_grpc

from service.errors import StoreUnavailable
from service.resilience.breakers import PROBE_SECONDS
from service.resilience.hedging import Hedging
from service.resilience.places import Full, Places
from service.stores.weaviate.attempts import Attempts, Call, Refused
from service.stores.weaviate.node import Node

__all__ = ["Node", "Nodes", "Refused", "open_nodes"]

T = TypeVar("T")

READS_AT_ONCE: Final = 64
WRITES_AT_ONCE: Final = 8
"""Of one node."""
MOST_WAITING: Final = 4
"""Calls that may wait, for each that is under way."""
LAST_SECONDS: Final = 0.05
"""At the end, for gRPC to tell the event loop of calls that were cancelled, before that is closed."""
SHORTEST_PAUSE_SECONDS: Final = 0.1
"""Between two looks at a node; a look takes up to a second."""
LARGEST_MESSAGE: Final = 104_858_000
"""Bytes; Weaviate's own limit."""
SERVICE: Final = {"loadBalancingConfig": [{"round_robin": dict[str, str]()}]}
"""Of a name that stands for several addresses, all are called in turn."""
OPTIONS: Final = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.service_config", json.dumps(SERVICE)),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
]


class Nodes:
    """Reads are hedged, writes are not. Lives on one event loop."""

    def __init__(
        self, nodes: Sequence[Node], *, budget_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.nodes = nodes
        self._budget_seconds = budget_seconds
        self._clock = clock
        self._reads = Places(READS_AT_ONCE * len(nodes), READS_AT_ONCE * len(nodes) * MOST_WAITING)
        self._writes = Places(WRITES_AT_ONCE * len(nodes), WRITES_AT_ONCE * len(nodes) * MOST_WAITING)
        self._hedging: defaultdict[float, Hedging] = defaultdict(Hedging)
        """By the seconds that calls may take: those that may take equally long are of a kind."""

    @property
    def hedges(self) -> tuple[int, int]:
        """How many reads were sent twice for being late, and how many of these second tries answered first."""
        every = self._hedging.values()
        return sum(one.sent for one in every), sum(one.won for one in every)

    @property
    def in_flight(self) -> int:
        """Calls that are under way."""
        return sum(node.in_flight for node in self.nodes)

    @property
    def have_misled(self) -> bool:
        """Whether answers of the last minute may lack what was acknowledged."""
        return any(node.has_misled for node in self.nodes)

    @property
    def is_open(self) -> bool:
        """Whether all nodes are left alone."""
        return all(node.breaker.is_open for node in self.nodes)

    def check(self) -> None:
        """Raise StoreUnavailable where all nodes are left alone."""
        if self.is_open:
            raise StoreUnavailable(
                "Weaviate does not answer: all its nodes are left alone; they are tried each second."
            )

    def late_seconds(self) -> float:
        """Return after how many seconds a search is late, at present."""
        return self._hedging[self._budget_seconds].late_seconds

    async def read(self, call: Call[T], seconds: float | None = None) -> T:
        """Return what a node answers in so many seconds; raises StoreUnavailable, and Refused with Weaviate's reason.

        A call may be made twice or more, on several nodes.
        """
        seconds = self._budget_seconds if seconds is None else seconds
        return await self._ask(self._reads, call, seconds, self._hedging[seconds])

    async def write(self, call: Call[T], seconds: float) -> T:
        """Return what a node answers in so many seconds; raises as `read`.

        It is made again on another node where one is not well: it must not matter whether it is done once or twice.
        """
        return await self._ask(self._writes, call, seconds, None)

    async def _ask(self, places: Places, call: Call[T], seconds: float, hedging: Hedging | None) -> T:
        self.check()
        ends = self._clock() + seconds
        try:
            await places.take(seconds)
        except Full:
            raise StoreUnavailable("Weaviate is asked for more than it answers; try again.") from None
        try:
            return await Attempts(self.nodes, call, ends - self._clock(), hedging, self._clock).answer()
        finally:
            places.give()


@asynccontextmanager
async def open_nodes(
    addresses: Sequence[str], api_key: str = "", *, budget_seconds: float = 1.0, is_secure: bool = False
) -> AsyncIterator[Nodes]:
    """Reach nodes at their addresses (host:port), with TLS where `is_secure`; nothing is asked of them yet."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(_open_node(one, api_key, is_secure=is_secure)) for one in addresses]
        watchers = [asyncio.create_task(_watch(node)) for node in nodes]
        try:
            yield Nodes(nodes, budget_seconds=budget_seconds)
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)
            await asyncio.sleep(LAST_SECONDS)


@asynccontextmanager
async def _open_node(address: str, api_key: str, *, is_secure: bool) -> AsyncIterator[Node]:
    channel = (
        grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(), OPTIONS)
        if is_secure
        else grpc.aio.insecure_channel(address, OPTIONS)
    )
    metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
    async with channel:
        yield Node(
            address,
            weaviate_pb2_grpc.WeaviateStub(channel),  # type: ignore[no-untyped-call]  # as it was generated
            _health_check(channel),
            metadata=metadata,
            is_several=_is_name(address),
        )


def _health_check(channel: Any) -> Callable[[float], Any]:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health.WeaviateHealthCheckRequest.SerializeToString,
        response_deserializer=health.WeaviateHealthCheckResponse.FromString,
    )

    async def is_serving(seconds: float) -> bool:
        try:
            reply = await check(health.WeaviateHealthCheckRequest(), timeout=seconds)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health.WeaviateHealthCheckResponse.SERVING)

    return is_serving


async def _watch(node: Node) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await node.look(PROBE_SECONDS)
        await asyncio.sleep(max(SHORTEST_PAUSE_SECONDS, began + PROBE_SECONDS - loop.time()))


def _is_name(address: str) -> bool:
    try:
        ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False
