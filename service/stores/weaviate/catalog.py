"""The catalog: one object for each collection of each tenant, read and written at a quorum."""

from secrets import token_hex
from typing import Final
from uuid import UUID, uuid5

import msgspec
from msgspec import structs
from weaviate.proto.v1 import batch_pb2 as batches

from service.models import Collection
from service.stores.weaviate.administration import Administration
from service.stores.weaviate.calls import Calls
from service.stores.weaviate.fields import wrapped
from service.stores.weaviate.filters import one_of
from service.stores.weaviate.objects import as_properties
from service.stores.weaviate.schema import CATALOG

NAMESPACE: Final = UUID("7a3f7b0e-6a0f-5d57-8f5e-2f1f0c9f4f0d")
MOST_ENTRIES: Final = 10_000
ENTRY: Final = msgspec.json.Decoder(Collection)


class Catalog:
    """The entries. Two that change one entry at the same time are kept apart by the caller."""

    def __init__(self, calls: Calls, administration: Administration, consistency: str) -> None:
        self._calls = calls
        self._administration = administration
        self._consistency = consistency

    async def entries(self, tenant: str) -> list[Collection]:
        """Return the tenant's entries, ordered by name."""
        found = await self._calls.fetch(CATALOG, "", one_of("tenant", [tenant]), MOST_ENTRIES, ["entry"])
        entries = [ENTRY.decode(one.properties["entry"]) for one in found]
        return sorted((entry for entry in entries if entry.tenant == tenant), key=lambda entry: entry.name)

    async def entry(self, tenant: str, name: str) -> Collection | None:
        """Return one entry as a quorum knows it."""
        identifier = _identifier(tenant, name)
        properties = await self._administration.read_object(CATALOG, identifier, self._consistency)
        return ENTRY.decode(properties["entry"]) if properties else None

    async def put(self, entry: Collection) -> Collection:
        """Write an entry under a new version."""
        stored = structs.replace(entry, version=token_hex(8))
        identifier = _identifier(entry.tenant, entry.name)
        properties = as_properties({"tenant": wrapped(entry.tenant), "entry": msgspec.json.encode(stored).decode()})
        await self._calls.insert([batches.BatchObject(uuid=identifier, collection=CATALOG, properties=properties)])
        return stored

    async def remove(self, tenant: str, name: str) -> None:
        """Remove an entry; nothing happens where there is none."""
        await self._administration.remove_object(CATALOG, _identifier(tenant, name), self._consistency)


def _identifier(tenant: str, name: str) -> str:
    return str(uuid5(NAMESPACE, f"{tenant}/{name}"))
