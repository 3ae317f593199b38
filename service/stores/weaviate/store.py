"""The Store port over Weaviate: many processes share it, and versions are kept elsewhere (stores/versioned.py)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Final
from weakref import WeakValueDictionary

from service.models import Collection, CollectionSize, Match, Passage, Record, Scalar
from service.stores.base import Deletion, EmbeddedDocument, ValueCount, Vector
from service.stores.catalog import placed, type_of, unknown_collection
from service.stores.filters import Filter
from service.stores.weaviate.administration import Administration
from service.stores.weaviate.calls import PATIENT_SECONDS, Calls, Found, Gone
from service.stores.weaviate.catalog import Catalog
from service.stores.weaviate.extremes import Field
from service.stores.weaviate.fields import base_of
from service.stores.weaviate.filters import Clause, both, either, has_id, one_of, to_weaviate, whole_number
from service.stores.weaviate.keywords import Analyser
from service.stores.weaviate.objects import passage_objects, record_id, record_objects, to_passage, to_record
from service.stores.weaviate.schema import RECORDS, catalog_class, collection_class, passages_class, records_class

DELETED_AT_ONCE: Final = 1000
"""Passages whose documents are deleted by filter in one step."""
PAUSE_SECONDS: Final = 0.5


class WeaviateStore:
    """A Store over one Weaviate. The version of an entry changes with the entry, not with what is written to it."""

    def __init__(self, calls: Calls, administration: Administration, catalog: Catalog, replication: int) -> None:
        self._calls = calls
        self._administration = administration
        self._catalog = catalog
        self._replication = replication
        self._analyser = Analyser()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lags(self) -> bool:
        """Whether what was read lately may lack what was acknowledged: a copy answered that had been away."""
        return self._replication > 1 and self._calls.have_misled

    async def collections(self, tenant: str) -> list[Collection]:
        try:
            return await self._catalog.entries(tenant)
        except Gone:  # nothing was ever written
            return []

    async def collection(self, tenant: str, name: str) -> Collection | None:
        return await self._catalog.entry(tenant, name)

    async def put_collection(self, collection: Collection, expected: Collection | None) -> Collection | None:
        async with self._alone(f"{collection.tenant}/{collection.name}"):
            if expected is None:
                await self._administration.create_class(catalog_class(self._replication))
            found = await self._catalog.entry(collection.tenant, collection.name)
            if found != expected:
                return None
            await self._prepare(collection)
            known = {*found.places} if found else set()
            stored = await self._catalog.put(await self._create_places(collection, known))
        await self._remove(stored, known - {*stored.places})
        return stored

    async def delete_collection(self, tenant: str, name: str) -> None:
        async with self._alone(f"{tenant}/{name}"):
            found = await self._catalog.entry(tenant, name)
            if found:
                await self._catalog.remove(tenant, name)
                await self._remove(found, {*found.places})

    async def size(self, collection: Collection) -> CollectionSize:
        async with self._existing(collection):
            documents = await self._calls.count(RECORDS, collection.physical, None)
        return CollectionSize(documents=documents, passages=await self.count(collection, None), bytes=0)

    async def nearest(
        self,
        collection: Collection,
        vector: Vector,
        limit: int,
        where: Filter | None,
        *,
        exact: bool = False,  # noqa: ARG002  # Weaviate chooses by itself, at the class's flatSearchCutoff
    ) -> list[Match]:
        async with self._existing(collection):
            if where and where.is_contradiction:
                return []
            name = passages_class(collection.name)
            return await self._calls.nearest(name, collection.physical, vector, limit, to_weaviate(where))

    async def matching(self, collection: Collection, text: str, limit: int, where: Filter | None) -> list[Match]:
        terms = self._analyser.terms(text)
        async with self._existing(collection):
            if not terms or (where and where.is_contradiction):
                return []
            name = passages_class(collection.name)
            return await self._calls.matching(name, collection.physical, terms, limit, to_weaviate(where))

    async def passages(self, collection: Collection, ids: Sequence[str], where: Filter | None = None) -> list[Passage]:
        async with self._existing(collection):
            if not ids or (where and where.is_contradiction):
                return []
            clause = both(has_id(ids), to_weaviate(where))
            name = passages_class(collection.name)
            found = await self._calls.fetch(name, collection.physical, clause, len(ids), ["passage"])
        return [to_passage(one.id, one.properties["passage"]) for one in found]

    async def count(self, collection: Collection, where: Filter | None) -> int:
        if where and where.is_contradiction:
            return 0
        async with self._existing(collection):
            name = passages_class(collection.name)
            return await self._calls.count(name, collection.physical, to_weaviate(where))

    async def values(self, collection: Collection, field: str, limit: int) -> list[ValueCount]:
        of = base_of(field, type_of(collection, field))
        async with self._existing(collection):
            return await self._calls.values(passages_class(collection.name), collection.physical, of, limit)

    async def bounds(self, collection: Collection, field: str) -> tuple[Scalar, Scalar] | None:
        async with self._existing(collection):
            name = passages_class(collection.name)
            return await Field(self._calls, name, collection.physical, field, type_of(collection, field)).bounds()

    async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        """Write the records last: a crash leaves documents that the next import does again."""
        name, place = passages_class(collection.name), collection.physical
        async with self._alone(place), self._existing(collection):
            known = await self.content_hashes(collection, [one.record.id for one in documents])
            rewritten = [one for one in documents if one.record.id in known]
            await self._calls.insert(record_objects(collection, rewritten, is_done=False))
            await self._calls.insert(passage_objects(collection, documents, self._analyser))
            if documents and (known or self._replication > 1):
                await self._calls.remove(name, place, either([_tail(one) for one in documents]))
            await self._calls.insert(record_objects(collection, documents, is_done=True))
        return token_hex(8)

    async def delete(self, collection: Collection, ids: Sequence[str]) -> Deletion:
        """Delete the records first: what a crash leaves is deleted by the same request again."""
        if not ids:
            return Deletion(0, token_hex(8))
        async with self._alone(collection.physical), self._existing(collection):
            return Deletion(await self._delete(collection, ids), token_hex(8))

    async def delete_matching(self, collection: Collection, where: Filter) -> Deletion:
        deleted = 0
        name = passages_class(collection.name)
        async with self._alone(collection.physical), self._existing(collection):
            before: set[str] = set()
            while not where.is_contradiction:
                clause = to_weaviate(where)
                wanted = (name, collection.physical, clause, DELETED_AT_ONCE, ["passage"])
                found = await self._calls.fetch(*wanted, seconds=PATIENT_SECONDS)
                if not found:
                    break
                if before and before == {one.id for one in found}:  # of a copy that is behind: it is repaired meanwhile
                    await asyncio.sleep(PAUSE_SECONDS)
                before = {one.id for one in found}
                ids = {to_passage(one.id, one.properties["passage"]).document_id for one in found}
                deleted += await self._delete(collection, [*ids])
        return Deletion(deleted, token_hex(8))

    async def records(self, collection: Collection, ids: Sequence[str]) -> list[Record]:
        found = await self._fetch_records(collection, ids, "record")
        return [to_record(one.properties["record"]) for one in found]

    async def content_hashes(self, collection: Collection, ids: Sequence[str]) -> dict[str, str]:
        """Return "" for what is to be written again: it never came to its end, or copies do not agree on it."""
        is_agreed = self._replication > 1
        found = await self._fetch_records(collection, ids, "content_hash", is_agreed=is_agreed)
        by_id = {record_id(identifier): identifier for identifier in ids}
        return {
            by_id[one.id]: "" if is_agreed and not one.is_agreed else one.properties["content_hash"] for one in found
        }

    async def list_records(self, collection: Collection, after: str, limit: int) -> list[Record]:
        async with self._existing(collection):
            begin = record_id(after) if after else ""
            found = await self._calls.page(RECORDS, collection.physical, begin, limit, ["record"])
        return [to_record(one.properties["record"]) for one in found]

    async def _fetch_records(
        self, collection: Collection, ids: Sequence[str], of: str, *, is_agreed: bool = False
    ) -> list[Found]:
        """Return the records of documents, with one property."""
        if not ids:
            return []
        async with self._existing(collection):
            clause = has_id(map(record_id, ids))
            wanted = (RECORDS, collection.physical, clause, len(ids), [of])
            return await self._calls.fetch(*wanted, is_agreed=is_agreed, seconds=PATIENT_SECONDS)

    async def _delete(self, collection: Collection, ids: Sequence[str]) -> int:
        deleted = await self._calls.remove(RECORDS, collection.physical, has_id(map(record_id, ids)))
        of_documents = one_of(base_of("document_id", "keyword"), ids)
        await self._calls.remove(passages_class(collection.name), collection.physical, of_documents)
        return deleted

    async def _prepare(self, collection: Collection) -> None:
        """Create the classes and properties that the collection needs, where they are missing."""
        await self._administration.create_class(records_class(self._replication))
        definition = collection_class(collection.name, collection.fields, self._replication)
        await self._administration.create_class(definition)

    async def _create_places(self, collection: Collection, known: set[str]) -> Collection:
        """Return the entry with an empty place for each generation that has none."""
        wanted = placed(collection, known, lambda: f"{collection.tenant}-{token_hex(6)}")
        for place in {*wanted.places} - known:
            for name in (RECORDS, passages_class(collection.name)):
                await self._administration.create_tenant(name, place)
        return wanted

    async def _remove(self, collection: Collection, places: set[str]) -> None:
        for place in places:
            for name in (RECORDS, passages_class(collection.name)):
                await self._administration.remove_tenant(name, place)

    def _alone(self, what: str) -> asyncio.Lock:
        """Return the lock that keeps writers of one thing apart, in this process."""
        return self._locks.setdefault(what, asyncio.Lock())

    @asynccontextmanager
    async def _existing(self, collection: Collection) -> AsyncIterator[None]:
        """Say of what is gone that the collection is."""
        try:
            yield
        except Gone as error:
            raise await unknown_collection(self, collection.tenant, collection.name) from error


def _tail(document: EmbeddedDocument) -> Clause:
    """Return what the passages meet that a document had, and has no longer."""
    of_document = one_of(base_of("document_id", "keyword"), [document.record.id])
    return both(of_document, whole_number(base_of("position", "integer"), "gte", len(document.passages)))
