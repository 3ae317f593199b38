"""The words of the product as data: what requests, answers and stored things are made of."""

import re
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

from msgspec import UNSET, Meta, Struct, UnsetType, structs

Kind = Literal["documents", "faq"]
FieldType = Literal["keyword", "integer", "number", "date", "boolean", "keyword[]"]
CachePolicy = Literal["default", "policy"]
Mode = Literal["hybrid", "vector", "keyword"]
Fusion = Literal["relative", "rrf"]
Leg = Literal["vector", "keyword"]
Strategy = Literal["empty", "exact", "filtered", "unfiltered"]

Scalar = str | int | float | bool
Metadata = dict[str, Any]
"""Field name to a value of its declared type; never holds None."""

DEFAULT_TENANT = "default"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Of collections and fields."""
RESERVED_FIELDS = frozenset({"document_id", "title", "text", "position", "updated_at", "any_of", "none_of"})
TENANT_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
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


GenerationState = Literal["building", "comparing", "waiting", "kept"]


class Generation(Struct, frozen=True, kw_only=True):
    """A physical index of a collection beside the live one: the next, or the one before, kept for rollback."""

    number: int
    physical: str = ""
    fingerprint: str = ""
    model: str = ""
    passage_tokens: int = 0
    state: GenerationState = "building"
    detail: str = ""
    """What came of building and comparing it, for whoever asks."""


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
    model: str = ""
    """Name of the embedding model; empty: that of the settings."""
    passage_tokens: int = 0
    """Longest passage; 0: as long as the model reads."""
    other: Generation | None = None
    """Written to beside the live generation, and not searched."""
    is_beside: bool = False
    """Whether this addresses a generation that is not the live one."""

    @property
    def places(self) -> tuple[str, ...]:
        """What tells its generations from those of another entry: their indexes, the live one's last."""
        return (self.other.physical, self.physical) if self.other else (self.physical,)

    def at(self, generation: Generation) -> "Collection":
        """Return what addresses that generation in a store: its index in place of the live one's."""
        return structs.replace(
            self,
            generation=generation.number,
            physical=generation.physical,
            fingerprint=generation.fingerprint,
            model=generation.model,
            passage_tokens=generation.passage_tokens,
            other=None,
            is_beside=True,
        )


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
Explain = Annotated[bool, Meta(description="tell what was made of the filters; such an answer is never cached")]
MinimumVersion = (
    Annotated[
        str,
        Meta(max_length=256, description="a version that the caller has seen: nothing older is answered from a cache"),
    ]
    | None
)


class ConditionPlan(Struct, frozen=True):
    """A term of a filter with how selective it is taken to be; null where no statistics of its field are known yet."""

    field: str
    """Or `any_of` or `none_of`, for a group as a whole."""
    operator: str
    estimate: int | None
    """Passages that meet it."""
    fraction: float | None


class Plan(Struct, frozen=True, kw_only=True):
    """What was made of the filters of a search."""

    strategy: Strategy
    expected: bool = False
    """The store decides for itself; this is what is expected of it."""
    reason: str
    conditions: list[ConditionPlan] = []
    """Most selective first."""
    estimated_matches: int | None = None
    matches: int | None = None
    """Counted."""


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
    explain: Explain = False


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
    plan: Plan | UnsetType = UNSET
    """For whoever asked for it."""

    @property
    def is_complete(self) -> bool:
        """Whether it may be cached; a plan is told as it is now."""
        return not self.degraded and self.plan is UNSET
