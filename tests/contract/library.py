"""What the tests of stores fill a collection with, and ask of it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from service.models import Collection, FieldType, Match, Passage, Record, passage_id
from service.stores.base import EmbeddedDocument, Store
from service.stores.filters import Filter, parse_filter

DIMENSIONS: Final = 8


def unit_vectors(*seeds: str) -> NDArray[np.float32]:
    """One random vector of length 1 for each seed: shape (seeds, DIMENSIONS)."""
    digests = [int.from_bytes(hashlib.sha256(seed.encode()).digest()) for seed in seeds]
    rows = np.array([np.random.default_rng(digest).standard_normal(DIMENSIONS) for digest in digests])
    lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    vectors: NDArray[np.float32] = (rows / lengths).astype(np.float32)
    return vectors


def document(
    identifier: str,
    *texts: str,
    title: str = "",
    context: str = "",
    metadata: Mapping[str, Any] | None = None,
    updated_at: str = "2024-05-01T12:00:00Z",
    answer: str | None = None,
) -> EmbeddedDocument:
    """A document with one passage for each text; its vectors follow from its id and texts."""
    texts = texts or ("text",)
    fields = dict(metadata or {})
    passages = [
        Passage(
            id=passage_id(identifier, position),
            document_id=identifier,
            position=position,
            title=title,
            text=text,
            context=context,
            metadata=fields,
            answer=answer,
        )
        for position, text in enumerate(texts)
    ]
    content = "\n".join(texts)
    record = Record(
        id=identifier,
        title=title,
        text=content,
        metadata=fields,
        content_hash=hashlib.sha256(content.encode()).hexdigest(),
        updated_at=updated_at,
    )
    return EmbeddedDocument(record, passages, unit_vectors(*(f"{identifier} {text}" for text in texts)))


class Library:
    """A store and one collection in it."""

    def __init__(self, store: Store, collection: Collection) -> None:
        self.store = store
        self.collection = collection

    async def current(self) -> Collection:
        """The catalog's entry now."""
        entry = await self.store.collection(self.collection.tenant, self.collection.name)
        assert entry is not None
        return entry

    async def declare(self, fields: Mapping[str, FieldType]) -> Collection:
        """Add fields to the collection."""
        entry = await self.current()
        changed = await self.store.put_collection(structs.replace(entry, fields={**entry.fields, **fields}), entry)
        assert changed is not None
        self.collection = changed
        return changed

    async def write(self, *documents: EmbeddedDocument) -> str:
        return await self.store.write(self.collection, documents)

    async def found(self, raw: dict[str, Any] | None = None) -> list[str]:
        """Document ids of all passages that meet the filter, sorted; both legs must agree (texts all say `text`)."""
        where = self.parsed(raw)
        near = await self.store.nearest(self.collection, unit_vectors("any")[0], 1000, where)
        keyed = await self.store.matching(self.collection, "text", 1000, where)
        by_vector, by_keyword = ([match.id for match in matches] for matches in (near, keyed))
        assert sorted(by_vector) == sorted(by_keyword)
        return sorted(await self.documents_of(near))

    async def matching_ids(self, text: str, raw: dict[str, Any] | None = None) -> list[str]:
        """Document ids of what the keyword leg finds, best first."""
        matches = await self.store.matching(self.collection, text, 50, self.parsed(raw))
        return await self.documents_of(matches)

    async def documents_of(self, matches: Sequence[Match]) -> list[str]:
        """Document ids of the passages that a leg found, in its order."""
        return [passage.document_id for passage in await self.passages_of(matches)]

    async def passages_of(self, matches: Sequence[Match]) -> list[Passage]:
        """The passages that a leg found, in its order."""
        found = await self.store.passages(self.collection, [match.id for match in matches])
        passages = {passage.id: passage for passage in found}
        return [passages[match.id] for match in matches]

    def parsed(self, raw: dict[str, Any] | None) -> Filter | None:
        """The caller's filter as the routes would pass it on."""
        return parse_filter(raw, self.collection.fields)

    async def stored(self, identifiers: Sequence[str]) -> list[Passage]:
        """The passages of these documents by id, of the first 100 positions."""
        ids = [passage_id(identifier, position) for identifier in identifiers for position in range(100)]
        return sorted(await self.store.passages(self.collection, ids), key=lambda one: (one.document_id, one.position))
