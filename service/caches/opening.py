"""The caches of one process, opened and joined from the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

from msgspec import Struct

from service.caches.accounts import TierAccount, account_of
from service.caches.cache import Cache
from service.caches.deletions import Deletions, Scope
from service.caches.following import Follower
from service.caches.memory import MemoryTier
from service.caches.redis import Redis, open_redis
from service.caches.shared import SharedTier
from service.resilience.budgets import budgeted
from service.settings import Settings

EMBEDDING_SHARE: Final = 4
"""One part in so many of the memory is for embeddings, the rest for results."""


class Link(Struct, frozen=True):
    """This process's connection to Redis, and what hears of changes there."""

    redis: Redis
    follower: Follower


class Caches:
    """What is cached, and where."""

    def __init__(
        self,
        embedding: Cache,
        result: Cache,
        deletions: Deletions,
    ) -> None:
        self.embedding = embedding
        self.result = result
        self.all = embedding, result
        self._deletions = deletions

    async def delete(self, tenant: str, scope: Scope, *, dry_run: bool) -> int:
        """Delete what the scope covers; returns how many values that are. Raises RedisUnavailable.

        From then on none is served, here at once, elsewhere as soon as the others hear of it: the deletion is a
        number that each value is held against. Freeing their room comes after.
        """
        with budgeted(None):  # an operator waits as long as it takes
            if not dry_run:
                await self._deletions.delete(tenant, scope)
            entries = 0
            for cache in self.all:
                covered = await cache.covered(tenant, scope)
                entries += len(covered)
                if not dry_run:
                    await cache.free(covered)
        return entries

    async def accounts(self) -> dict[str, dict[str, TierAccount]]:
        """Return what each tier of each cache did and holds."""
        found: dict[str, dict[str, TierAccount]] = {}
        for cache in self.all:
            memory = account_of(cache, "memory", cache.memory.entries, cache.memory.bytes)
            found[cache.kind] = {"memory": memory}
            if cache.shared:
                with budgeted(None):
                    entries, size = await cache.shared.size(cache.kind) or (None, None)
                found[cache.kind]["redis"] = account_of(cache, "redis", entries, size)
        return found


@asynccontextmanager
async def open_link(settings: Settings) -> AsyncIterator[Link | None]:
    """Open Redis; None where none is configured, or nothing here needs it: no cache, and no store that others share."""
    if not settings.redis_url or not (settings.cache_enabled or settings.store == "weaviate"):
        yield None
        return
    async with (
        open_redis(
            settings.redis_url,
            settings.redis_password,
            max_connections=settings.redis_max_connections,
            health_check_seconds=settings.redis_health_check_seconds,
            budget_seconds=settings.redis_budget_ms / 1000,
        ) as redis,
        Follower(redis) as follower,
    ):
        yield Link(redis, follower)


@asynccontextmanager
async def open_caches(settings: Settings, link: Link | None) -> AsyncIterator[Caches | None]:
    """Open the caches, with a tier in Redis where there is one; None where they are switched off."""
    if not settings.cache_enabled:
        yield None
        return
    redis, follower = (link.redis, link.follower) if link else (None, None)
    deletions = Deletions(redis, follower)
    memory = settings.cache_memory_mb * 1_000_000
    for_embeddings = memory // EMBEDDING_SHARE

    def cache(kind: Literal["embedding", "result"], max_bytes: int) -> Cache:
        shared = SharedTier(redis, deletions, compress=kind == "result") if redis else None
        trust_seconds = settings.memory_trust_seconds
        return Cache(kind, MemoryTier(max_bytes), shared, deletions, trust_seconds=trust_seconds)

    embedding = cache("embedding", for_embeddings)
    result = cache("result", memory - for_embeddings)
    caches = Caches(embedding, result, deletions)
    yield caches
    for one in caches.all:
        await one.close()
