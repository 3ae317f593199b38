"""Every store, opened once a module, with a fresh collection for each test."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from service.models import Collection
from service.stores.base import Store
from service.stores.embedded import open_embedded_store
from service.stores.memory import MemoryStore
from tests.contract.library import DIMENSIONS, Library
from tests.filter_strategies import FIELDS
from tests.tools.shared_store import open_shared_store


@asynccontextmanager
async def open_memory_store(_directory: Path) -> AsyncIterator[Store]:
    yield MemoryStore()


def open_embedded(directory: Path) -> AbstractAsyncContextManager[Store]:
    return open_embedded_store(directory, dimensions=DIMENSIONS, index_at=50_000)


OPENERS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Store]]] = {
    "memory": open_memory_store,
    "embedded": open_embedded,
    "shared": open_shared_store,
}


@pytest.fixture(scope="module", params=sorted(OPENERS))
async def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Store]:
    assert anyio_backend
    async with OPENERS[request.param](tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture
async def library(store: Store) -> AsyncIterator[Library]:
    """An empty collection of documents with a field of every type."""
    entry = Collection(tenant="acme", name=f"c{token_hex(8)}", kind="documents", fields=dict(FIELDS), fingerprint="f")
    created = await store.put_collection(entry, None)
    assert created is not None
    yield Library(store, created)
    await store.delete_collection(created.tenant, created.name)
