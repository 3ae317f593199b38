"""Every store, opened once a module, with a fresh collection for each test."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from service.caches.following import Follower
from service.caches.ledgers import RedisVersions
from service.caches.redis import open_redis
from service.models import Collection
from service.stores.base import Store
from service.stores.embedded import open_embedded_store
from service.stores.memory import MemoryStore
from service.stores.versioned import VersionedStore
from service.stores.weaviate import open_weaviate_store
from tests.contract.library import DIMENSIONS, Library
from tests.filter_strategies import FIELDS
from tests.tools.servers import redis_server
from tests.tools.shared_store import open_shared_store
from tests.tools.weaviate import RunningNode


@asynccontextmanager
async def open_memory_store(_request: pytest.FixtureRequest, _directory: Path) -> AsyncIterator[Store]:
    yield MemoryStore()


def open_embedded(_request: pytest.FixtureRequest, directory: Path) -> AbstractAsyncContextManager[Store]:
    return open_embedded_store(directory, dimensions=DIMENSIONS, index_at=50_000)


@asynccontextmanager
async def open_weaviate(request: pytest.FixtureRequest, _directory: Path) -> AsyncIterator[Store]:
    """A real Weaviate, with versions that a real Redis keeps."""
    node: RunningNode = request.getfixturevalue("weaviate")
    with redis_server() as server:
        async with (
            open_redis(server.url) as redis,
            Follower(redis) as follower,
            open_weaviate_store([node.url], [node.grpc_address], budget_seconds=10) as store,
        ):
            yield VersionedStore(store, RedisVersions(redis, follower))


def open_shared(_request: pytest.FixtureRequest, directory: Path) -> AbstractAsyncContextManager[Store]:
    return open_shared_store(directory)


OPENERS: Mapping[str, Callable[[pytest.FixtureRequest, Path], AbstractAsyncContextManager[Store]]] = {
    "memory": open_memory_store,
    "embedded": open_embedded,
    "shared": open_shared,
    "weaviate": open_weaviate,
}


@pytest.fixture(scope="module", params=sorted(OPENERS))
async def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Store]:
    assert anyio_backend
    async with OPENERS[request.param](request, tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture
async def library(store: Store) -> AsyncIterator[Library]:
    """An empty collection of documents with a field of every type."""
    entry = Collection(tenant="acme", name=f"c{token_hex(8)}", kind="documents", fields=dict(FIELDS), fingerprint="f")
    created = await store.put_collection(entry, None)
    assert created is not None
    yield Library(store, created)
    await store.delete_collection(created.tenant, created.name)
