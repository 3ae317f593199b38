"""The way of a search, top to bottom: check, embed, two legs, fuse, fetch what is returned."""

import asyncio
import logging
from collections.abc import Coroutine
from itertools import islice

from service.embedders.base import Embedder, Embedders
from service.errors import FieldError, InvalidRequest, ModelUnavailable, StoreUnavailable
from service.models import LONGEST_QUERY, Hit, Leg, Match, Passage, SearchRequest, SearchResponse
from service.search.planner import Planned
from service.search.planning import Planning, explained_for, nearest_as, planned_for
from service.search.prepared import Prepared
from service.search.ranking import Ranked, fuse, rank_leg
from service.stages import Stages
from service.stores.base import Store
from service.stores.catalog import find_searchable
from service.stores.filters import parse_filter

logger = logging.getLogger(__name__)

SMALLEST_LEG = 50


class PreparedSearch(Prepared, frozen=True, kw_only=True):
    """A search that passed all checks."""

    request: SearchRequest

    @property
    def is_embedded(self) -> bool:
        return self.request.mode != "keyword"

    @property
    def meaning(self) -> tuple[object, ...]:
        request = self.request
        blend = (request.alpha, request.fusion) if request.mode == "hybrid" else ()
        explained = ("explain",) if request.explain else ()
        return (request.mode, *blend, request.limit, request.minimum_vector_score, *explained)


class SearchPipeline:
    """Answers searches over collections of documents."""

    def __init__(self, store: Store, embedders: Embedders, planning: Planning | None = None) -> None:
        self._store = store
        self._embedders = embedders
        self._planning = planning

    async def prepare(self, tenant: str, request: SearchRequest) -> PreparedSearch:
        """Check the request; raises InvalidRequest, UnknownCollection and Conflict for what the caller did."""
        if request.mode == "keyword" and request.minimum_vector_score is not None:
            raise InvalidRequest(FieldError("/minimum_vector_score", "keyword mode has no vector scores; leave it out"))
        query = checked_query(request.query)
        collection = await find_searchable(self._store, self._embedders, tenant, request.collection, "documents")
        where = parse_filter(request.filters, collection.fields)
        return PreparedSearch(
            collection=collection,
            query=query,
            where=where,
            minimum_version=request.minimum_version,
            request=request,
        )

    async def run(self, prepared: PreparedSearch, keeper: str | None, stages: Stages) -> SearchResponse:
        """Return the passages for a query; its embedding is kept for the tenant `keeper`, None for nobody.

        Raises StoreUnavailable and ModelUnavailable. Where one leg fails the other answers, marked `degraded`.
        """
        planned = planned_for(self._planning, prepared)
        legs: dict[Leg, list[Match]] = {}
        degraded: list[Leg] = []
        hits: list[Hit] = []
        if not planned.is_empty:
            legs, degraded = await self._legs(prepared, planned, keeper, stages)
            with stages.time("fuse"):
                hits = await self._hits(prepared, _ranked(legs, prepared.request))
        is_embedded = prepared.is_embedded and "vector" not in degraded
        return SearchResponse(
            collection=prepared.collection.name,
            version=prepared.collection.version,
            mode=prepared.request.mode,
            truncated=is_embedded and (await self._embedder(prepared)).is_truncated(prepared.query, "query"),
            degraded=degraded,
            hits=hits,
            plan=await explained_for(self._planning, prepared, planned, wanted=prepared.request.explain),
        )

    async def _legs(
        self, prepared: PreparedSearch, planned: Planned, keeper: str | None, stages: Stages
    ) -> tuple[dict[Leg, list[Match]], list[Leg]]:
        """Run the legs of the mode side by side; returns those that answered, and the names of those that failed."""
        mode, limit = prepared.request.mode, max(SMALLEST_LEG, 2 * prepared.request.limit)
        running: dict[Leg, Coroutine[None, None, list[Match]]] = {}
        # The vector leg first: it is the longer one, and embedding begins before the keyword leg takes the interpreter.
        if mode != "keyword":
            running["vector"] = self._vector_leg(prepared, planned, keeper, limit, stages)
        if mode != "vector":
            running["keyword"] = self._keyword_leg(prepared, planned, limit, stages)
        outcomes = await asyncio.gather(*running.values(), return_exceptions=True)
        answered: dict[Leg, list[Match]] = {}
        failures: dict[Leg, BaseException] = {}
        for name, outcome in zip(running, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failures[name] = outcome
            else:
                answered[name] = outcome
        for name, failure in failures.items():
            if not answered or not isinstance(failure, StoreUnavailable | ModelUnavailable):
                raise failure
            logger.warning("a search is answered without its %s leg: %s", name, failure)
        return answered, list(failures)

    async def _embedder(self, prepared: PreparedSearch) -> Embedder:
        return await self._embedders.of(prepared.collection.model)

    async def _keyword_leg(self, prepared: PreparedSearch, planned: Planned, limit: int, stages: Stages) -> list[Match]:
        with stages.time("keyword"):
            return await self._store.matching(prepared.collection, prepared.query, limit, planned.where)

    async def _vector_leg(
        self, prepared: PreparedSearch, planned: Planned, keeper: str | None, limit: int, stages: Stages
    ) -> list[Match]:
        with stages.time("embed"):
            vectors = await (await self._embedder(prepared)).embed([prepared.query], "query", keeper)
        with stages.time("vector"):
            return await nearest_as(planned, self._store, prepared.collection, vectors[0], limit)

    async def _hits(self, prepared: PreparedSearch, ranked: list[Ranked]) -> list[Hit]:
        """Fetch the passages that are returned, and no others: reading their texts costs more than finding them.

        A passage that was deleted since a leg found it, or rewritten so that it no longer meets the filter, is left out
        and not replaced: one read suffices, and the answer is kept under the version that this write made old.
        """
        ids = [one.id for one in ranked]
        found = await self._store.passages(prepared.collection, ids, prepared.where) if ids else []
        passages = {passage.id: passage for passage in found}
        return [_hit(passages[one.id], one) for one in ranked if one.id in passages]


def checked_query(query: str, pointer: str = "/query") -> str:
    """Return the query with its white space made one; raises InvalidRequest where nothing is left, or too much."""
    trimmed = " ".join(query.split())
    if not 1 <= len(trimmed) <= LONGEST_QUERY:
        detail = f"a query has 1 to {LONGEST_QUERY:,} characters after trimming; this one has {len(trimmed):,}"
        raise InvalidRequest(FieldError(pointer, detail))
    return trimmed


def _ranked(legs: dict[Leg, list[Match]], request: SearchRequest) -> list[Ranked]:
    vector, keyword = legs.get("vector", []), legs.get("keyword", [])
    if request.mode == "hybrid":
        ranked = fuse(vector, keyword, request.alpha, request.fusion)
    else:
        ranked = rank_leg(vector, keyword)
    minimum = request.minimum_vector_score
    if minimum is not None:
        ranked = (one for one in ranked if one.vector_score is not None and one.vector_score >= minimum)
    return list(islice(ranked, request.limit))


def _hit(passage: Passage, ranked: Ranked) -> Hit:
    return Hit(
        id=passage.id,
        document_id=passage.document_id,
        title=passage.title,
        text=passage.text,
        position=passage.position,
        score=ranked.score,
        vector_score=ranked.vector_score,
        keyword_score=ranked.keyword_score,
        metadata=passage.metadata,
    )
