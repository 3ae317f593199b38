"""The port to where collections live: what every store does, in the product's words."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from service.models import Collection, CollectionSize, Match, Passage, Record, Scalar
from service.stores.filters import Filter

Vector = NDArray[np.float32]
"""Shape (dimensions,), of length 1."""


class EmbeddedDocument(Struct, frozen=True):
    """A document ready to be stored: its record, its passages in order, and their vectors."""

    record: Record
    passages: list[Passage]
    vectors: NDArray[np.float32]
    """Shape (passages, dimensions), each row of length 1."""


class Deletion(Struct, frozen=True):
    """What a deletion did."""

    deleted: int
    version: str


class ValueCount(Struct, frozen=True):
    """How many passages have a value."""

    value: Scalar
    passages: int


class Store(Protocol):
    """Collections of documents, their passages and vectors.

    A write returns after it is durable, and then every later read sees it. A document is written whole or not at all,
    also when the process dies meanwhile. Methods raise StoreUnavailable when the store cannot answer, and
    UnknownCollection when the collection was deleted meanwhile.
    """

    async def collections(self, tenant: str) -> list[Collection]:
        """Return the tenant's collections, ordered by name."""
        ...

    async def collection(self, tenant: str, name: str) -> Collection | None:
        """Return the catalog's entry now; cheap, each request calls it."""
        ...

    async def put_collection(self, collection: Collection, expected: Collection | None) -> Collection | None:
        """Create (expected None) or change an entry if it still equals `expected`: compare-and-set.

        Returns the entry as stored (with its new version), or None where another writer was faster.
        New fields are indexed when this returns. A generation without a physical place gets an empty one; one that the
        entry no longer names is removed with all it holds.
        """
        ...

    async def delete_collection(self, tenant: str, name: str) -> None:
        """Delete the collection and all it holds; nothing happens where it does not exist."""
        ...

    async def size(self, collection: Collection) -> CollectionSize:
        """Count what it holds; bytes on disk (0 for a store in memory)."""
        ...

    async def nearest(
        self, collection: Collection, vector: Vector, limit: int, where: Filter | None, *, exact: bool = False
    ) -> list[Match]:
        """Answer the vector leg: up to `limit` passages by cosine similarity to `vector`, best first.

        `exact`: better scan what meets the filter than search an index; a store that chooses itself may not heed it.
        """
        ...

    async def matching(self, collection: Collection, text: str, limit: int, where: Filter | None) -> list[Match]:
        """Answer the keyword leg: up to `limit` passages by BM25 over their content, best first."""
        ...

    async def passages(self, collection: Collection, ids: Sequence[str], where: Filter | None = None) -> list[Passage]:
        """Return the passages with these ids that meet the filter, in any order; those that do not exist are left out.

        What a leg found may be rewritten by now: who searched with a filter fetches with it.
        """
        ...

    async def count(self, collection: Collection, where: Filter | None) -> int:
        """Count the passages that meet the filter."""
        ...

    async def values(self, collection: Collection, field: str, limit: int) -> list[ValueCount]:
        """Return the commonest values of a keyword, keyword[] or boolean field, most frequent first."""
        ...

    async def bounds(self, collection: Collection, field: str) -> tuple[Scalar, Scalar] | None:
        """Return the smallest and the largest value of an integer, number or date field; None where there is none."""
        ...

    async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        """Create or replace these documents (ids are distinct), all or none; returns the new version."""
        ...

    async def delete(self, collection: Collection, ids: Sequence[str]) -> Deletion:
        """Delete documents by id; ids that do not exist are not counted."""
        ...

    async def delete_matching(self, collection: Collection, where: Filter) -> Deletion:
        """Delete all documents whose metadata meets the filter."""
        ...

    async def records(self, collection: Collection, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids, in any order; those that do not exist are left out."""
        ...

    async def content_hashes(self, collection: Collection, ids: Sequence[str]) -> dict[str, str]:
        """Document id to content hash, of those ids that exist."""
        ...

    async def list_records(self, collection: Collection, after: str, limit: int) -> list[Record]:
        """Up to `limit` records that come after the one with the id `after` ("" begins), in the store's own order.

        What exists throughout a listing is listed once, whether or not the record `after` still exists.
        """
        ...
