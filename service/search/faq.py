"""The way of a FAQ search: the best variant of each entry, and nothing below the threshold."""

from typing import Annotated

from msgspec import Meta, Struct

from service.embedders.base import Embedder
from service.models import Collection, Filters, Match, Metadata, Query
from service.search.deadline import search_deadline
from service.search.pipeline import checked_query
from service.stores.base import Store, Vector
from service.stores.catalog import find_searchable
from service.stores.filters import Filter, parse_filter
from service.telemetry import Stages

SMALLEST_WIDTH = 50
WIDENING = 4


class FaqRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /faq/search` takes; limit and minimum_score default to the settings."""

    query: Query
    collection: str = "faq"
    limit: Annotated[int, Meta(ge=1, le=50)] | None = None
    minimum_score: Annotated[float, Meta(ge=-1, le=1)] | None = None
    filters: Filters = None


class FaqAnswer(Struct, frozen=True, kw_only=True):
    """An entry with the variant that matched best."""

    id: str
    question: str
    matched_question: str
    answer: str
    score: float
    """Cosine similarity of the query and the matched question."""
    metadata: Metadata


class FaqResponse(Struct, frozen=True, kw_only=True):
    """What `POST /faq/search` answers: entries by score, each once."""

    collection: str
    version: str
    truncated: bool
    answers: list[FaqAnswer]


class FaqDefaults(Struct, frozen=True):
    """What holds where a request says nothing."""

    limit: int
    minimum_score: float


class FaqSearch:
    """Answers questions from collections of FAQ entries."""

    def __init__(self, store: Store, embedder: Embedder, defaults: FaqDefaults, deadline_seconds: float) -> None:
        self._store = store
        self._embedder = embedder
        self._defaults = defaults
        self._deadline_seconds = deadline_seconds

    async def search(self, tenant: str, request: FaqRequest, stages: Stages) -> FaqResponse:
        """Return the entries nearest to the query; raises as SearchPipeline.search does."""
        query = checked_query(request.query)
        fingerprint = self._embedder.card.fingerprint
        collection = await find_searchable(self._store, tenant, request.collection, "faq", fingerprint)
        where = parse_filter(request.filters, collection.fields)
        limit = self._defaults.limit if request.limit is None else request.limit
        minimum = self._defaults.minimum_score if request.minimum_score is None else request.minimum_score
        async with search_deadline(self._deadline_seconds):
            with stages.time("embed"):
                vectors = await self._embedder.embed([query], "query")
            with stages.time("vector"):
                matches = await self._nearest_entries(collection, vectors[0], limit, minimum, where)
        return FaqResponse(
            collection=collection.name,
            version=collection.version,
            truncated=self._embedder.is_truncated(query, "query"),
            answers=[_answer(match) for match in matches],
        )

    async def _nearest_entries(
        self,
        collection: Collection,
        vector: Vector,
        limit: int,
        minimum: float,
        where: Filter | None,
    ) -> list[Match]:
        """Return the best variant of each entry; widens until variants of one entry no longer hide the others."""
        width = max(SMALLEST_WIDTH, WIDENING * limit)
        while True:
            matches = await self._store.nearest(collection, vector, width, where)
            best: dict[str, Match] = {}
            for match in matches:
                if match.score >= minimum:
                    best.setdefault(match.passage.document_id, match)
            if len(best) >= limit or len(matches) < width or matches[-1].score < minimum:
                return list(best.values())[:limit]
            width *= WIDENING


def _answer(match: Match) -> FaqAnswer:
    passage = match.passage
    return FaqAnswer(
        id=passage.document_id,
        question=passage.title,
        matched_question=passage.text,
        answer=passage.answer or "",
        score=match.score,
        metadata=passage.metadata,
    )
