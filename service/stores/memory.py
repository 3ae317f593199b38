"""The store in memory: small enough to be read as what the port means, exact enough to hold the others to."""

from collections.abc import Sequence
from contextlib import suppress
from secrets import token_urlsafe

import numpy as np
from msgspec import structs

from service.errors import UnknownCollection
from service.models import Collection, CollectionSize, Match, Passage, Record
from service.stores.base import Deletion, EmbeddedDocument, Vector
from service.stores.filters import BUILT_IN_FIELDS, Filter, canonical_value, meets
from service.stores.words import bm25_scores, words


class MemoryStore:
    """A Store that forgets all when the process ends. It never awaits, so that each call is atomic."""

    def __init__(self) -> None:
        self._shelves: dict[tuple[str, str], _Shelf] = {}

    async def collections(self, tenant: str) -> list[Collection]:
        owned = [shelf.collection for (owner, _), shelf in self._shelves.items() if owner == tenant]
        return sorted(owned, key=lambda collection: collection.name)

    async def collection(self, tenant: str, name: str) -> Collection | None:
        shelf = self._shelves.get((tenant, name))
        return shelf.collection if shelf else None

    async def put_collection(self, collection: Collection, expected: Collection | None) -> Collection | None:
        key = (collection.tenant, collection.name)
        if await self.collection(*key) != expected:
            return None
        physical = expected.physical if expected else token_urlsafe()
        stored = structs.replace(collection, physical=physical, version=token_urlsafe())
        if key in self._shelves:
            self._shelves[key].collection = stored
        else:
            self._shelves[key] = _Shelf(stored)
        return stored

    async def delete_collection(self, tenant: str, name: str) -> None:
        with suppress(KeyError):
            del self._shelves[tenant, name]

    async def size(self, collection: Collection) -> CollectionSize:
        shelf = self._shelf(collection)
        return CollectionSize(documents=len(shelf.documents), passages=len(shelf.passages()), bytes=0)

    async def nearest(self, collection: Collection, vector: Vector, limit: int, where: Filter | None) -> list[Match]:
        shelf = self._shelf(collection)
        found = [
            Match(passage.id, float(np.dot(row, vector)))
            for document in shelf.documents.values()
            for passage, row in zip(document.passages, document.vectors, strict=True)
            if shelf.meets(where, passage, document.record)
        ]
        return _best(found, limit)

    async def matching(self, collection: Collection, text: str, limit: int, where: Filter | None) -> list[Match]:
        shelf = self._shelf(collection)
        scores = bm25_scores(words(text), {passage.id: words(passage.content) for passage in shelf.passages()})
        found = [
            Match(passage.id, scores[passage.id])
            for document in shelf.documents.values()
            for passage in document.passages
            if passage.id in scores and shelf.meets(where, passage, document.record)
        ]
        return _best(found, limit)

    async def passages(self, collection: Collection, ids: Sequence[str], where: Filter | None = None) -> list[Passage]:
        shelf, wanted = self._shelf(collection), set(ids)
        return [
            passage
            for document in shelf.documents.values()
            for passage in document.passages
            if passage.id in wanted and shelf.meets(where, passage, document.record)
        ]

    async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        shelf = self._shelf(collection)
        shelf.documents.update({document.record.id: document for document in documents})
        return shelf.renew_version()

    async def delete(self, collection: Collection, ids: Sequence[str]) -> Deletion:
        shelf = self._shelf(collection)
        deleted = [identifier for identifier in set(ids) if shelf.documents.pop(identifier, None)]
        return Deletion(len(deleted), shelf.renew_version())

    async def delete_matching(self, collection: Collection, where: Filter) -> Deletion:
        shelf = self._shelf(collection)
        met = [
            document.record.id
            for document in shelf.documents.values()
            if any(shelf.meets(where, passage, document.record) for passage in document.passages)
        ]
        return await self.delete(collection, met)

    async def records(self, collection: Collection, ids: Sequence[str]) -> list[Record]:
        documents = self._shelf(collection).documents
        return [documents[identifier].record for identifier in set(ids) if identifier in documents]

    async def content_hashes(self, collection: Collection, ids: Sequence[str]) -> dict[str, str]:
        return {record.id: record.content_hash for record in await self.records(collection, ids)}

    async def list_records(self, collection: Collection, after: str, limit: int) -> list[Record]:
        documents = self._shelf(collection).documents
        return [documents[identifier].record for identifier in sorted(documents) if identifier > after][:limit]

    def _shelf(self, collection: Collection) -> "_Shelf":
        shelf = self._shelves.get((collection.tenant, collection.name))
        if shelf is None or shelf.collection.physical != collection.physical:
            existing = [name for owner, name in self._shelves if owner == collection.tenant]
            raise UnknownCollection(collection.name, existing)
        return shelf


class _Shelf:
    """One collection: its entry in the catalog and its documents."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.documents: dict[str, EmbeddedDocument] = {}

    def passages(self) -> list[Passage]:
        return [passage for document in self.documents.values() for passage in document.passages]

    def renew_version(self) -> str:
        self.collection = structs.replace(self.collection, version=token_urlsafe())
        return self.collection.version

    def meets(self, where: Filter | None, passage: Passage, record: Record) -> bool:
        fields = {**self.collection.fields, **BUILT_IN_FIELDS}
        built_in = {"document_id": record.id, "title": passage.title, "position": passage.position}
        dated = {"updated_at": record.updated_at} if record.updated_at else {}
        values = {name: value for name, value in {**passage.metadata, **built_in, **dated}.items() if name in fields}
        return meets(where, {name: canonical_value(value, fields[name]) for name, value in values.items()})


def _best(matches: list[Match], limit: int) -> list[Match]:
    return sorted(matches, key=lambda match: (-match.score, match.id))[:limit]
