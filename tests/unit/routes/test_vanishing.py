"""What lists all collections goes on where one of them is deleted meanwhile."""

from types import SimpleNamespace
from typing import Any

import pytest

from service.models import DEFAULT_TENANT, Collection, CollectionSize
from service.routes.collections import list_collections
from service.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Vanishing(MemoryStore):
    """Loses a collection just before its size is taken."""

    async def size(self, collection: Collection) -> CollectionSize:
        if collection.name == "gone":
            await self.delete_collection(collection.tenant, collection.name)
        return await super().size(collection)


@pytest.fixture
async def services() -> Any:
    """What these routes ask for."""
    store = Vanishing()
    for name in ("gone", "here"):
        entry = Collection(tenant=DEFAULT_TENANT, name=name, kind="documents")
        assert await store.put_collection(entry, None)
    return SimpleNamespace(store=store, reindexer=SimpleNamespace(progress=lambda _: None))


async def test_a_listing_leaves_out_what_was_deleted_meanwhile(services: Any) -> None:
    listed = await list_collections.fn(services, DEFAULT_TENANT)
    assert [one.name for one in listed.collections] == ["here"]
