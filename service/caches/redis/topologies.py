"""Which server keeps a key: one, the master that sentinels name, or a node of a cluster."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisClusterException, RedisError

from service.caches.redis.links import EvictsVersions, Link, LinkLost, connect, open_link
from service.caches.redis.servers import Allowance, Server
from service.caches.redis.urls import Address, Kind, RedisAddress
from service.errors import RedisUnavailable

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often sentinels are asked for the master, and how long after trouble a cluster is asked where its slots are."""
ANSWER_SECONDS = 0.3
"""For one sentinel or node to say so: another is asked then."""


class Topology(Protocol):
    """The servers of one Redis."""

    @property
    @abstractmethod
    def servers(self) -> Sequence[Server]:
        """All that keep keys."""

    @abstractmethod
    def server_of(self, key: str) -> Server:
        """Return the server that keeps a key; raises RedisUnavailable where that is not known."""

    @abstractmethod
    async def start(self) -> None:
        """Connect; where that fails, later. Raises EvictsVersions."""

    @abstractmethod
    async def refresh(self) -> None:
        """Learn anew which server keeps what; raises RedisUnavailable."""

    @abstractmethod
    async def connection(self) -> AbstractConnection:
        """Return a new connection, connected, to a server that hears all messages; raises LinkLost."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""


class PromptSSLConnection(SSLConnection):
    """One that ends at once where it is told not to wait: an orderly end of TLS waits for the server, up to 30 s."""

    async def disconnect(self, nowait: bool = False, *arguments: Any, **more: Any) -> None:  # noqa: FBT001, FBT002  # as redis-py has it
        if nowait and self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(nowait, *arguments, **more)


class Connections:
    """Makes the connections of redis-py, which connect with TLS, AUTH and SELECT, and never try again."""

    def __init__(self, address: RedisAddress) -> None:
        self._class = PromptSSLConnection if address.has_tls else Connection
        self._tls_context: Any = None
        self.options: dict[str, Any] = {
            "username": address.username,
            "password": address.password,
            "protocol": 2,
            **address.tls,
        }
        self._database = address.database

    def to(self, host: str, port: int) -> AbstractConnection:
        """Return a connection that is not connected yet."""
        connection = self._class(
            host=host, port=port, db=self._database, socket_timeout=None, driver_info=None, **self.options
        )
        if isinstance(connection, SSLConnection):
            # redis-py would read the authorities' certificates from the disk for each connection.
            self._tls_context = self._tls_context or connection.ssl_context
            connection.ssl_context = self._tls_context
        return connection


class Single:
    """One server."""

    def __init__(self, address: RedisAddress, allowance: Allowance) -> None:
        self._connections = Connections(address)
        self._host, self._port = address.hosts[0]
        self._server = Server(f"Redis at {self._host}:{self._port}", self._open_link, allowance)
        self.servers = (self._server,)

    def server_of(self, _key: str) -> Server:
        return self._server

    async def start(self) -> None:
        await self._server.start()

    async def refresh(self) -> None:
        """There is nothing to learn."""

    async def connection(self) -> AbstractConnection:
        connection = self._connections.to(self._host, self._port)
        await connect(connection)
        return connection

    async def close(self) -> None:
        await self._server.close()

    async def _open_link(self) -> Link:
        return await open_link(self._connections.to(self._host, self._port))


class Sentinels:
    """The master that sentinels name. They are asked for each connection, and once a second whether it moved."""

    def __init__(self, address: RedisAddress, allowance: Allowance) -> None:
        self._connections = Connections(address)
        self._name = address.master
        options: dict[str, Any] = {"ssl": True, **address.tls} if address.has_tls else {}
        options |= {"password": address.sentinel_password, **_patience()}
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py's
            address.hosts, sentinel_kwargs=options
        )
        self._server = Server(f"Redis master {self._name}", self._open_link, allowance)
        self.servers = (self._server,)
        self._master: Address | None = None
        self._asking = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    def server_of(self, _key: str) -> Server:
        return self._server

    async def start(self) -> None:
        self._looking = asyncio.create_task(self._look())
        await self._server.start()

    async def refresh(self) -> None:
        """Sentinels are asked for each new connection anyway."""

    async def connection(self) -> AbstractConnection:
        connection = self._connections.to(*await self._find_master())
        await connect(connection)
        return connection

    async def close(self) -> None:
        await _end(self._looking)
        await self._server.close()
        await self._sentinel.aclose()

    async def _open_link(self) -> Link:
        return await open_link(self._connections.to(*await self._find_master()))

    async def _find_master(self) -> Address:
        try:
            # One after the other: redis-py puts the sentinel that answers first in its list, and where two do so at
            # once it forgets another one, with its connection.
            async with self._asking:
                host, port = await self._sentinel.discover_master(self._name)
        except (RedisError, OSError) as error:
            raise LinkLost(f"{error}") from error
        master = str(host), int(port)
        if self._master and self._master != master:
            logger.warning("The master of Redis is %s:%s now.", *master)
            self._server.retire()
        self._master = master
        return master

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(LinkLost):
                await self._find_master()


class Cluster:
    """The nodes of a cluster, by the slots that they keep."""

    def __init__(self, address: RedisAddress, allowance: Allowance) -> None:
        self._connections = Connections(address)
        self._allowance = allowance
        tls: dict[str, Any] = {"ssl": True} if address.has_tls else {}
        self._cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
            require_full_coverage=False,
            **self._connections.options,
            **_patience(),
            **tls,
        )
        self._servers: dict[Address, Server] = {}
        self._slots: dict[int, Server] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def servers(self) -> Sequence[Server]:
        return [*self._servers.values()]

    def server_of(self, key: str) -> Server:
        server = self._slots.get(key_slot(key.encode()))
        if server is None:
            raise RedisUnavailable("The cluster of Redis has not told yet which node keeps this key.")
        return server

    async def start(self) -> None:
        self._looking = asyncio.create_task(self._look())
        try:
            await self.refresh()
        except RedisUnavailable as error:
            logger.warning("%s It is asked again every %g s.", error, LOOK_SECONDS)

    async def refresh(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        # Callers may leave; the others want to know it too.
        await asyncio.shield(self._refreshing)

    async def connection(self) -> AbstractConnection:
        error = LinkLost("The cluster of Redis has not told its nodes yet.")
        for host, port in [*self._servers]:
            connection = self._connections.to(host, port)
            try:
                await connect(connection)
            except LinkLost as lost:
                error = lost
            else:
                return connection
        raise error

    async def close(self) -> None:
        await _end(self._looking)
        await _end(self._refreshing)
        for server in self.servers:
            await server.close()
        await self._cluster.nodes_manager.aclose()
        await self._cluster.nodes_manager.aclose("startup_nodes")

    async def _refresh(self) -> None:
        manager = self._cluster.nodes_manager
        try:
            await manager.initialize()
        except (RedisError, RedisClusterException, OSError) as error:
            raise RedisUnavailable(f"The cluster of Redis does not tell its nodes: {error}.") from error
        masters = {slot: (str(nodes[0].host), int(nodes[0].port)) for slot, nodes in manager.slots_cache.items()}
        known = self._servers
        self._servers = {at: known.get(at) or self._make_server(at) for at in dict.fromkeys(masters.values())}
        self._slots = {slot: self._servers[at] for slot, at in masters.items()}
        await asyncio.gather(*(server.close() for at, server in known.items() if at not in self._servers))
        await asyncio.gather(*(server.start() for at, server in self._servers.items() if at not in known))

    def _make_server(self, at: Address) -> Server:
        async def open_here() -> Link:
            return await open_link(self._connections.to(*at))

        return Server(f"Redis node {at[0]}:{at[1]}", open_here, self._allowance)

    async def _look(self) -> None:
        """Ask where the slots are while that is not known, or a node is unwell: its replica may take its place."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._slots or any(server.breaker.is_open for server in self.servers):
                with suppress(RedisUnavailable, EvictsVersions):
                    await self.refresh()


def topology_of(address: RedisAddress, allowance: Allowance) -> Topology:
    """Return the topology of an address, not connected yet."""
    kinds: dict[Kind, type[Single | Sentinels | Cluster]] = {
        "single": Single,
        "sentinel": Sentinels,
        "cluster": Cluster,
    }
    return kinds[address.kind](address, allowance)


def _patience() -> dict[str, Any]:
    """Return the options of redis-py's own clients, which ask for topologies only."""
    return {
        "socket_timeout": ANSWER_SECONDS,
        "socket_connect_timeout": ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }


async def _end(task: asyncio.Task[None] | None) -> None:
    if task:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
