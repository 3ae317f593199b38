"""The way of a FAQ search: the best variant of each entry, and nothing below the threshold."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from service.embedders.base import Embedders
from service.models import Explain, Filters, Match, Metadata, MinimumVersion, Passage, Plan, Query
from service.search.pipeline import checked_query
from service.search.planner import Planned
from service.search.planning import Planning, explained_for, nearest_as, planned_for
from service.search.prepared import Prepared
from service.stages import Stages
from service.stores.base import Store, Vector
from service.stores.catalog import find_searchable
from service.stores.filters import parse_filter

SMALLEST_WIDTH = 50
WIDENING = 4


class FaqRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /faq/search` takes; limit and minimum_score default to the settings."""

    query: Query
    collection: str = "faq"
    limit: Annotated[int, Meta(ge=1, le=50)] | None = None
    minimum_score: Annotated[float, Meta(ge=-1, le=1)] | None = None
    filters: Filters = None
    minimum_version: MinimumVersion = None
    explain: Explain = False


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
    plan: Plan | UnsetType = UNSET
    """For whoever asked for it."""

    @property
    def is_complete(self) -> bool:
        """Whether it may be cached; a plan is told as it is now."""
        return self.plan is UNSET


class FaqDefaults(Struct, frozen=True):
    """What holds where a request says nothing."""

    limit: int
    minimum_score: float


class PreparedFaq(Prepared, frozen=True, kw_only=True):
    """A FAQ search that passed all checks, its defaults filled in."""

    limit: int
    minimum_score: float
    explain: bool = False

    @property
    def meaning(self) -> tuple[object, ...]:
        return (self.limit, self.minimum_score, *(("explain",) if self.explain else ()))


class FaqSearch:
    """Answers questions from collections of FAQ entries."""

    def __init__(
        self, store: Store, embedders: Embedders, defaults: FaqDefaults, planning: Planning | None = None
    ) -> None:
        self._store = store
        self._embedders = embedders
        self._defaults = defaults
        self._planning = planning

    async def prepare(self, tenant: str, request: FaqRequest) -> PreparedFaq:
        """Check the request; raises as SearchPipeline.prepare does."""
        query = checked_query(request.query)
        collection = await find_searchable(self._store, self._embedders, tenant, request.collection, "faq")
        return PreparedFaq(
            collection=collection,
            query=query,
            where=parse_filter(request.filters, collection.fields),
            minimum_version=request.minimum_version,
            limit=self._defaults.limit if request.limit is None else request.limit,
            minimum_score=self._defaults.minimum_score if request.minimum_score is None else request.minimum_score,
            explain=request.explain,
        )

    async def run(self, prepared: PreparedFaq, keeper: str | None, stages: Stages) -> FaqResponse:
        """Return the entries nearest to the query; raises as SearchPipeline.run does."""
        embedder = await self._embedders.of(prepared.collection.model)
        planned = planned_for(self._planning, prepared)
        answers: list[FaqAnswer] = []
        if not planned.is_empty:
            with stages.time("embed"):
                vectors = await embedder.embed([prepared.query], "query", keeper)
            answers = await self._nearest_entries(prepared, planned, vectors[0], stages)
        return FaqResponse(
            collection=prepared.collection.name,
            version=prepared.collection.version,
            truncated=embedder.is_truncated(prepared.query, "query"),
            answers=answers,
            plan=await explained_for(self._planning, prepared, planned, wanted=prepared.explain),
        )

    async def _nearest_entries(
        self, prepared: PreparedFaq, planned: Planned, vector: Vector, stages: Stages
    ) -> list[FaqAnswer]:
        """Return the best variant of each entry; widens until variants of one entry no longer hide the others."""
        width = max(SMALLEST_WIDTH, WIDENING * prepared.limit)
        while True:
            with stages.time("vector"):
                matches = await nearest_as(planned, self._store, prepared.collection, vector, width)
            near = [match for match in matches if match.score >= prepared.minimum_score]
            with stages.time("fuse"):
                answers = await self._best_variants(prepared, near)
            if len(answers) >= prepared.limit or len(matches) < width or len(near) < len(matches):
                return answers
            width *= WIDENING

    async def _best_variants(self, prepared: PreparedFaq, matches: list[Match]) -> list[FaqAnswer]:
        """Return the first match of each entry, up to the limit; fetches slice by slice, as one mostly holds enough."""
        best: dict[str, FaqAnswer] = {}
        start, size = 0, prepared.limit
        while start < len(matches) and len(best) < prepared.limit:
            part = matches[start : start + size]
            found = await self._store.passages(prepared.collection, [match.id for match in part], prepared.where)
            passages = {passage.id: passage for passage in found}
            for match in part:
                if passage := passages.get(match.id):  # None where it was deleted since
                    best.setdefault(passage.document_id, _answer(passage, match.score))
            start, size = start + size, size * WIDENING
        return list(best.values())[: prepared.limit]


def _answer(passage: Passage, score: float) -> FaqAnswer:
    return FaqAnswer(
        id=passage.document_id,
        question=passage.title,
        matched_question=passage.text,
        answer=passage.answer or "",
        score=score,
        metadata=passage.metadata,
    )
