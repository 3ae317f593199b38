"""Writing to all generations of a collection: what is acknowledged is in each, whichever will be searched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from msgspec import Struct

from service.errors import CollectionChanged, StoreUnavailable, UnknownCollection
from service.ingest.preparation import Document
from service.ingest.shapes import Shapes
from service.models import Collection, Record
from service.stores.base import Deletion, EmbeddedDocument, Store
from service.stores.catalog import unknown_collection
from service.stores.filters import Filter

T = TypeVar("T")

MOST_ATTEMPTS: Final = 20
"""Of a write whose collection gets another generation meanwhile, each time."""
DELETED_AT_ONCE: Final = 500
"""Passages whose documents are deleted in one step, where the generations have to be told the documents."""


class Written(Struct, frozen=True):
    """What a write came to."""

    version: str
    passages: int


class Writer:
    """Writes to the generations of collections, the live one last.

    A write that fails halfway is not in the live one, and the same write again does both. Within this process the
    writes of one collection are done one after another, so that all generations see them in one order.
    """

    def __init__(self, store: Store, shapes: Shapes) -> None:
        self._store = store
        self._shapes = shapes
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def write(self, entry: Collection, documents: Sequence[Document]) -> Written:
        """Create or replace documents, prepared for `entry`, in all generations.

        Raises what the store raises, and ModelUnavailable.
        """
        records = [document.record for document in documents]
        made = {entry.physical: await self._embedded(entry, documents)}

        async def prepare(current: Collection) -> None:
            for generation in generations(current):
                if generation.physical not in made:
                    made[generation.physical] = await self.made(generation, records)

        async def write(current: Collection) -> Written:
            version = ""
            for generation in generations(current):
                version = await self._store.write(generation, made[generation.physical])
            return Written(version, sum(len(one.passages) for one in made[current.physical]))

        return await self._in_all(entry, prepare, write)

    async def delete(self, entry: Collection, ids: Sequence[str]) -> Deletion:
        """Delete the documents with these ids from all generations; raises what the store raises."""

        async def delete(current: Collection) -> Deletion:
            deletion = Deletion(0, "")
            for generation in generations(current):
                deletion = await self._store.delete(generation, ids)
            return deletion

        return await self._in_all(entry, _nothing, delete)

    async def delete_matching(self, entry: Collection, where: Filter) -> Deletion:
        """Delete the documents of which the live generation has a passage that meets the filter, from all."""

        async def delete(current: Collection) -> Deletion:
            deleted = 0
            if current.other and where.mentions("position"):  # which other passages have elsewhere
                while ids := await self._ids(current, where):
                    for generation in generations(current):
                        deletion = await self._store.delete(generation, ids)
                    deleted += deletion.deleted
            for generation in generations(current):
                deletion = await self._store.delete_matching(generation, where)
            return Deletion(deleted + deletion.deleted, deletion.version)

        return await self._in_all(entry, _nothing, delete)

    async def made(self, generation: Collection, records: Sequence[Record]) -> list[EmbeddedDocument]:
        """Return the records as that generation holds them; raises ModelUnavailable."""
        shape = await self._shapes.of(generation)
        passages = await asyncio.to_thread(shape.cut, records, generation.kind)
        return await shape.embed(records, passages, generation.tenant)

    @asynccontextmanager
    async def alone(self, tenant: str, name: str) -> AsyncIterator[None]:
        """Keep this process from writing to the collection meanwhile."""
        lock = self._locks.setdefault((tenant, name), asyncio.Lock())
        async with lock:
            yield

    async def _embedded(self, entry: Collection, documents: Sequence[Document]) -> list[EmbeddedDocument]:
        shape = await self._shapes.of(entry)
        passages = [document.passages for document in documents]
        return await shape.embed([document.record for document in documents], passages, entry.tenant)

    async def _in_all(
        self,
        entry: Collection,
        prepare: Callable[[Collection], Awaitable[None]],
        change: Callable[[Collection], Awaitable[T]],
    ) -> T:
        """Do a change to the generations that there are when it is done; begins again where these changed meanwhile."""
        for _ in range(MOST_ATTEMPTS):
            await prepare(entry)
            async with self.alone(entry.tenant, entry.name):
                current = await self._store.collection(entry.tenant, entry.name)
                if current is None:
                    raise await unknown_collection(self._store, entry.tenant, entry.name)
                if current.places == entry.places:
                    try:
                        return await change(current)
                    except (CollectionChanged, UnknownCollection):
                        current = await self._store.collection(entry.tenant, entry.name)
                        if current is None or current.places == entry.places:
                            raise
            entry = current
        raise StoreUnavailable(f"Collection {entry.name!r} is being changed all the time; try again.")

    async def _ids(self, current: Collection, where: Filter) -> list[str]:
        """Return some documents that have a passage that meets the filter."""
        shape = await self._shapes.of(current)
        any_vector = np.zeros(shape.embedder.card.dimensions, np.float32)
        any_vector[0] = 1
        matches = await self._store.nearest(current, any_vector, DELETED_AT_ONCE, where, exact=True)
        passages = await self._store.passages(current, [match.id for match in matches])
        return sorted({passage.document_id for passage in passages})


def generations(entry: Collection) -> list[Collection]:
    """Return what addresses each generation, in the order in which they are written."""
    return [entry.at(entry.other), entry] if entry.other else [entry]


async def _nothing(_: Collection) -> None:
    pass
