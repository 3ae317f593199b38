"""Answers from a cache or computed now: what stands between the routes and each kind of search."""

import time
from collections.abc import Callable
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
from msgspec import Struct

from service.caches.accounts import Saved
from service.caches.base import Demands, Tier
from service.caches.cache import Cache, Computed, Found, Terms, uncached
from service.caches.freshness import Freshness
from service.errors import NotCached
from service.models import Collection
from service.resilience.admission import Admission
from service.search.deadline import search_deadline
from service.search.popularity import Popularity
from service.search.prepared import Prepared
from service.stages import Stages

Request = TypeVar("Request", contravariant=True)  # noqa: PLC0105  # of requests there is one name
Ready = TypeVar("Ready", bound=Prepared)


class Flow(Protocol[Request, Ready]):
    """A kind of search."""

    async def prepare(self, tenant: str, request: Request) -> Ready:
        """Check the request, and find its collection."""
        ...

    async def run(self, prepared: Ready, keeper: str | None, stages: Stages) -> Any:
        """Compute the answer; its embedding is kept for the tenant `keeper`."""
        ...


class Answer(Struct, frozen=True, kw_only=True):
    """An encoded answer, and what the caches had to do with it."""

    body: bytes
    version: str
    validator: str
    """Equal for equal answers; empty where an answer is not to be cached."""
    outcome: Literal["hit", "miss", "bypass"]
    tier: Tier | None = None
    ttl_seconds: float = 0.0
    """How long it may still be served."""
    is_collapsed: bool = False
    is_kept: bool = False


Observe = Callable[[Answer, float], None]
"""Is told of an answer, and how many seconds it took."""


class Answering(Generic[Request, Ready]):
    """One kind of search behind the cache of results; `cache` None: every answer is computed."""

    def __init__(
        self,
        path: str,
        flow: Flow[Request, Ready],
        cache: Cache | None,
        freshness: Freshness,
        ttl_seconds: Callable[[Collection], float],
        saved: Saved,
        popularity: Popularity,
        admission: Admission,
        deadline_seconds: float,
        observe: Observe,
    ) -> None:
        self._path = path
        self._flow = flow
        self._saved = saved
        self._cache = cache
        self._freshness = freshness
        self._ttl_seconds = ttl_seconds
        self._popularity = popularity
        self._admission = admission
        self._deadline_seconds = deadline_seconds
        self._observe = observe

    async def answer(self, tenant: str, request: Request, demands: Demands, stages: Stages) -> Answer:
        """Return the answer from memory, from Redis, or computed.

        Raises what the flow raises, DeadlineExceeded, Overloaded, and NotCached where nothing is to be computed.
        """
        start = time.perf_counter()
        prepared = await self._flow.prepare(tenant, request)
        if not self._proves(prepared):
            demands = msgspec.structs.replace(demands, reads=False, minimum_version=prepared.minimum_version)
        key, terms = prepared.key, self._terms(prepared, demands)
        self._note(request, prepared, key, demands)
        found = self._cache.peek(key, terms) if self._cache and demands.reads else None
        if found is None:
            async with search_deadline(self._deadline_seconds):
                found = await self._find(prepared, key, terms, stages)
        answer = self._answer(prepared, key, found, demands)
        self._observe(answer, time.perf_counter() - start)
        return answer

    async def _find(self, prepared: Ready, key: str, terms: Terms, stages: Stages) -> Found:
        async def compute(_: list[int]) -> list[Computed]:
            keeper = terms.tenant if terms.demands.stores else None
            async with self._admission.turn(prepared.collection.tenant):
                response = await self._flow.run(prepared, keeper, stages)
            most = self._freshness.most_ttl_seconds(prepared.collection) if response.is_complete else 0.0
            return [Computed(msgspec.json.encode(response), most)]

        if self._cache:
            (found,) = await self._cache.get_or_compute([key], terms, compute)
            return found
        if terms.demands.only_cached:
            raise NotCached("The caches are switched off, and `only-if-cached` asks for a cached answer only.")
        return uncached((await compute([0]))[0], terms)

    def _note(self, request: Request, prepared: Ready, key: str, demands: Demands) -> None:
        if demands.stores:
            tenant = prepared.collection.tenant
            self._popularity.note(tenant, self._path, key, demands.owner, lambda: msgspec.json.encode(request))

    def _proves(self, prepared: Ready) -> bool:
        """Whether what is cached is new enough for a caller who has seen a version."""
        minimum = prepared.minimum_version
        collection = prepared.collection
        return minimum is None or minimum == collection.version or self._freshness.proves(collection, minimum)

    def _terms(self, prepared: Ready, demands: Demands) -> Terms:
        collection = prepared.collection
        return Terms(
            tenant=collection.tenant,
            collection=collection.name,
            version=collection.version,
            ttl_seconds=self._ttl_seconds(collection),
            demands=demands,
            is_confirmed=self._freshness.is_confirmed(collection),
        )

    def _answer(self, prepared: Ready, key: str, found: Found, demands: Demands) -> Answer:
        cached = found.cached
        if found.tier:
            self._saved.store_queries += 1
            if prepared.is_embedded:
                self._saved.spare_embedding(prepared.query)
        return Answer(
            body=cached.value,
            version=cached.version,
            validator=_validator(key, cached.version) if cached.ttl_seconds else "",
            outcome="hit" if found.tier else "miss" if demands.reads and self._cache else "bypass",
            tier=found.tier,
            ttl_seconds=max(0.0, cached.stored + cached.ttl_seconds - time.time()),
            is_collapsed=found.is_collapsed,
            is_kept=found.is_kept,
        )


def _validator(key: str, version: str) -> str:
    """Return what tells an answer from any other: the digest at the key's end covers tenant and request."""
    return f"{key.rpartition(':')[2]}-{version}"
