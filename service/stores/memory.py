"""The store in memory: small enough to be read as what the port means, exact enough to hold the others to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from secrets import token_urlsafe
from typing import Any

import numpy as np
from msgspec import structs

from service.errors import UnknownCollection
from service.models import Collection, CollectionSize, Match, Passage, Record, Scalar
from service.stores.base import Deletion, EmbeddedDocument, ValueCount, Vector
from service.stores.catalog import check_generation, placed
from service.stores.filters import BUILT_IN_FIELDS, Filter, canonical_value, comparable, meets
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
        shelf = self._shelves.get(key)
        known = {one.collection.physical: one for one in (shelf, shelf and shelf.beside) if one}
        stored = structs.replace(placed(collection, known.keys(), token_urlsafe), version=token_urlsafe())
        self._shelves[key] = _arranged(stored, known)
        return stored

    async def delete_collection(self, tenant: str, name: str) -> None:
        with suppress(KeyError):
            del self._shelves[tenant, name]

    async def size(self, collection: Collection) -> CollectionSize:
        shelf = self._shelf(collection)
        return CollectionSize(documents=len(shelf.documents), passages=len(shelf.passages()), bytes=0)

    async def nearest(
        self,
        collection: Collection,
        vector: Vector,
        limit: int,
        where: Filter | None,
        *,
        exact: bool = False,  # noqa: ARG002  # it has no index: all is exact
    ) -> list[Match]:
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

    async def count(self, collection: Collection, where: Filter | None) -> int:
        shelf = self._shelf(collection)
        return sum(
            shelf.meets(where, passage, document.record)
            for document in shelf.documents.values()
            for passage in document.passages
        )

    async def values(self, collection: Collection, field: str, limit: int) -> list[ValueCount]:
        counts = Counter(
            one
            for value in self._shelf(collection).values_of(field)
            for one in (set(value) if isinstance(value, tuple) else (value,))
        )
        return [ValueCount(value, passages) for value, passages in counts.most_common(limit)]

    async def bounds(self, collection: Collection, field: str) -> tuple[Scalar, Scalar] | None:
        found = sorted(self._shelf(collection).values_of(field), key=comparable)
        return (found[0], found[-1]) if found else None

    async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        shelf = self._written(collection)
        shelf.documents.update({document.record.id: document for document in documents})
        return shelf.renew_version()

    async def delete(self, collection: Collection, ids: Sequence[str]) -> Deletion:
        shelf = self._written(collection)
        deleted = [identifier for identifier in set(ids) if shelf.documents.pop(identifier, None)]
        return Deletion(len(deleted), shelf.renew_version())

    async def delete_matching(self, collection: Collection, where: Filter) -> Deletion:
        shelf = self._written(collection)
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
        live = self._shelves.get((collection.tenant, collection.name))
        for shelf in (live, live and live.beside):
            if shelf and shelf.collection.physical == collection.physical:
                return shelf
        existing = [name for owner, name in self._shelves if owner == collection.tenant]
        raise UnknownCollection(collection.name, existing)

    def _written(self, collection: Collection) -> "_Shelf":
        """Return the shelf to write to; raises CollectionChanged where the write was made for other generations."""
        shelf = self._shelf(collection)
        check_generation(self._shelves[collection.tenant, collection.name].collection, collection)
        return shelf


class _Shelf:
    """One generation of a collection: its entry in the catalog, its documents, and the generation beside it."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.beside: _Shelf | None = None
        self.documents: dict[str, EmbeddedDocument] = {}

    def passages(self) -> list[Passage]:
        return [passage for document in self.documents.values() for passage in document.passages]

    def renew_version(self) -> str:
        self.collection = structs.replace(self.collection, version=token_urlsafe())
        return self.collection.version

    def values_of(self, field: str) -> list[Any]:
        """Return the field's canonical value of each passage that has one."""
        found = [
            self._canonical(passage, document.record).get(field)
            for document in self.documents.values()
            for passage in document.passages
        ]
        return [value for value in found if value is not None]

    def meets(self, where: Filter | None, passage: Passage, record: Record) -> bool:
        return meets(where, self._canonical(passage, record))

    def _canonical(self, passage: Passage, record: Record) -> dict[str, Any]:
        """Return what filters read of a passage."""
        fields = {**self.collection.fields, **BUILT_IN_FIELDS}
        built_in = {"document_id": record.id, "title": passage.title, "position": passage.position}
        dated = {"updated_at": record.updated_at} if record.updated_at else {}
        values = {name: value for name, value in {**passage.metadata, **built_in, **dated}.items() if name in fields}
        return {name: canonical_value(value, fields[name]) for name, value in values.items()}


def _arranged(stored: Collection, known: Mapping[str, _Shelf]) -> _Shelf:
    """Return the shelf of the live generation with the other one beside it, as the entry says; new ones are empty."""
    live = known.get(stored.physical) or _Shelf(stored)
    live.collection, live.beside = stored, None
    if stored.other:
        entry = stored.at(stored.other)
        live.beside = known.get(entry.physical) or _Shelf(entry)
        live.beside.collection, live.beside.beside = entry, None
    return live


def _best(matches: list[Match], limit: int) -> list[Match]:
    return sorted(matches, key=lambda match: (-match.score, match.id))[:limit]
