"""The words of the product as data: what requests, answers and stored things are made of."""

import re
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from msgspec import Meta, Struct

Kind = Literal["documents", "faq"]
FieldType = Literal["keyword", "integer", "number", "date", "boolean", "keyword[]"]
CachePolicy = Literal["default", "policy"]
Mode = Literal["hybrid", "vector", "keyword"]
Fusion = Literal["relative", "rrf"]
Leg = Literal["vector", "keyword"]

Scalar = str | int | float | bool
Metadata = dict[str, Any]
"""Field name to a value of its declared type; never holds None."""

DEFAULT_TENANT = "default"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Of collections and fields."""
RESERVED_FIELDS = frozenset({"document_id", "title", "text", "position", "updated_at", "any_of", "none_of"})
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""What no text may hold: NUL and lone surrogates."""
LONGEST_QUERY = 4_096
"""Characters."""
MOST_FIELDS = 64
"""Fields of one collection; each has an index."""
PASSAGE_NAMESPACE = UUID("6f2c1f0e-7a4b-5d1c-9a53-0d5c3f1b8e21")


def passage_id(document_id: str, position: int) -> str:
    """Return the id of a document's passage: the same at every import, so that rewriting overwrites."""
    return str(uuid5(PASSAGE_NAMESPACE, f"{position}/{document_id}"))


class Collection(Struct, frozen=True, kw_only=True):
    """The catalog's entry of one collection of one tenant: everything that a request must know of it."""

    tenant: str
    name: str
    kind: Kind
    fields: dict[str, FieldType] = {}
    cache: CachePolicy = "default"
    generation: int = 1
    physical: str = ""
    """Name of the physical place; the store fills it in, nobody else reads it."""
    fingerprint: str = ""
    """Of the embedding model whose vectors it holds."""
    version: str = ""
    """Opaque; another after every acknowledged write."""


class CollectionSize(Struct, frozen=True):
    """How much a collection holds."""

    documents: int
    passages: int
    bytes: int


class Passage(Struct, frozen=True, kw_only=True):
    """A piece of a document: what is embedded, searched and returned."""

    id: str
    document_id: str
    position: int
    """Counts the passages of the document from 0."""
    title: str
    text: str
    context: str = ""
    """What is embedded and keyword-indexed before the text: the title and the headings above it."""
    metadata: Metadata = {}
    answer: str | None = None
    """Of a FAQ entry, on each of its variants; None in documents."""

    @property
    def content(self) -> str:
        """What is embedded and keyword-indexed."""
        return f"{self.context}\n{self.text}" if self.context else self.text


class Match(Struct, frozen=True):
    """A passage that one leg found, by its id, with that leg's own score: cosine similarity or BM25."""

    id: str
    score: float


class Record(Struct, frozen=True, kw_only=True):
    """A document as ingested, kept whole beside its passages.

    Of a FAQ entry, the title is the question and the text the answer.
    """

    id: str
    title: str
    text: str
    metadata: Metadata = {}
    variants: list[str] = []
    content_hash: str = ""
    """Over text, metadata, parser, chunker and model fingerprint: equal means nothing to do."""
    updated_at: str = ""
    """ISO 8601, UTC."""


class Hit(Struct, frozen=True, kw_only=True):
    """A passage with its scores."""

    id: str
    document_id: str
    title: str
    text: str
    position: int
    score: float
    """Orders the hits: the fused score, or the leg's own in single modes."""
    vector_score: float | None
    """Cosine similarity; null where the vector leg did not return the passage."""
    keyword_score: float | None
    """BM25; null where the keyword leg did not return the passage."""
    metadata: Metadata


Query = Annotated[str, Meta(min_length=1, description="1 to 4,096 characters after trimming")]
Limit = Annotated[int, Meta(ge=1, le=50)]
Filters = Annotated[
    dict[str, Any] | None,
    Meta(
        description="field: value, [values] or {eq|ne|in|not_in|gt|gte|lt|lte|contains|exists: ...}; all must hold; "
        "any_of and none_of nest",
    ),
]
MinimumVersion = (
    Annotated[
        str,
        Meta(max_length=256, description="a version that the caller has seen: nothing older is answered from a cache"),
    ]
    | None
)


class SearchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /search` takes; only `query` is required."""

    query: Query
    collection: str = "documents"
    limit: Limit = 10
    mode: Mode = "hybrid"
    alpha: Annotated[float, Meta(ge=0, le=1, description="1 = vector only, 0 = keyword only")] = 0.7
    fusion: Fusion = "relative"
    filters: Filters = None
    minimum_vector_score: Annotated[float, Meta(ge=-1, le=1)] | None = None
    minimum_version: MinimumVersion = None


class SearchResponse(Struct, frozen=True, kw_only=True):
    """What `POST /search` answers."""

    collection: str
    version: str
    mode: Mode
    truncated: bool
    """The query was longer than the model's window."""
    degraded: list[Leg]
    """Legs that failed; the other one answered alone."""
    hits: list[Hit]

    @property
    def is_complete(self) -> bool:
        """Whether it may be cached."""
        return not self.degraded
