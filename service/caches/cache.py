"""The one mechanism behind every cache: memory before Redis, one computation, and what may be served."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from msgspec import Struct, structs

from service.caches.base import Cached, Demands, Kind, Outcome, Tier, key_prefix
from service.caches.deletions import Deletions, Scope
from service.caches.memory import MemoryTier
from service.caches.shared import SharedTier
from service.errors import NotCached
from service.resilience.budgets import budgeted
from service.resilience.flights import Flights

JITTER: Final = 0.1
"""Of a time to live: what was cached together does not expire together."""
MOST_WRITES: Final = 256
"""To Redis, on their way; beyond, a value stays in memory alone."""


class Terms(Struct, frozen=True, kw_only=True):
    """Under what a value may be served, and how it is kept."""

    tenant: str
    collection: str = ""
    version: str = ""
    """The value must have been computed under it."""
    ttl_seconds: float
    demands: Demands = Demands()
    is_confirmed: bool = True
    """Whether the version is known to be the current one. Else Redis is left out, whose values would come back under an
    old version, and of memory only that is served which was kept a moment ago."""


class Computed(Struct, frozen=True):
    """What a computation returns for one key."""

    value: bytes
    ttl_seconds: float | None = None
    """Shorter than that of the terms, or 0: not to be kept at all."""


class Found(Struct, frozen=True):
    """A value and where it comes from."""

    cached: Cached
    tier: Tier | None = None
    """None: computed now."""
    is_collapsed: bool = False
    """Computed for another caller who asked at the same time."""
    is_kept: bool = True


Compute = Callable[[list[int]], Awaitable[Sequence[Computed]]]
"""Computes the values of the keys at these places."""
FlightKey = tuple[str, str, int, Demands]


class Cache:
    """A cache of one kind. Lives on one event loop.

    A value is served only if it was computed under the version of the terms, has not expired, and no deletion covers
    it. Redis' trouble is a miss. Values in memory that the terms do not confirm are served `trust_seconds` long.
    """

    def __init__(
        self,
        kind: Kind,
        memory: MemoryTier,
        shared: SharedTier | None,
        deletions: Deletions,
        *,
        trust_seconds: float,
    ) -> None:
        self.kind = kind
        self.memory = memory
        self.shared = shared
        self.counts: Counter[tuple[Tier, Outcome]] = Counter()
        self.unconfirmed = 0
        """Hits under a version that nobody could confirm."""
        self._deletions = deletions
        self._flights: Flights[FlightKey, Found] = Flights()
        self._trust_seconds = trust_seconds
        self._writes: set[asyncio.Task[None]] = set()

    def peek(self, key: str, terms: Terms) -> Found | None:
        """Return the value in memory if it may be served; counts a hit, but no miss."""
        cached = self.memory.get(key)
        if cached is None or not self._may_serve(cached, terms):
            return None
        if not terms.is_confirmed and time.monotonic() - cached.kept >= self._trust_seconds:
            return None
        self.counts["memory", "hit"] += 1
        self.unconfirmed += not terms.is_confirmed
        return Found(cached, "memory")

    async def get_or_compute(self, keys: Sequence[str], terms: Terms, compute: Compute) -> list[Found]:
        """Return the value of each key: from memory, else from Redis, else computed, each once in this process.

        `compute` gets the places of the missing keys, all in one call; identical keys in flight are computed once,
        and a caller that is cancelled takes nothing away from the others. Raises what `compute` raises, and NotCached
        where the caller wants nothing computed.
        """
        found = [self.peek(key, terms) for key in keys] if terms.demands.reads else [None] * len(keys)
        missing = [place for place, one in enumerate(found) if one is None]
        if not missing:
            return [one for one in found if one]
        self.counts["memory", "miss" if terms.demands.reads else "bypass"] += len(missing)
        epoch = self._deletions.number(terms.tenant)
        scope = structs.replace(terms.demands, owner="")
        flights = {(keys[place], terms.version, epoch, scope): place for place in missing}
        own: set[FlightKey] = set()

        async def fetch(wanted: list[FlightKey]) -> list[Found]:
            own.update(wanted)
            return await self._fetch([flights[key] for key in wanted], keys, terms, epoch, compute)

        values = await self._flights.share([*flights], fetch)
        shared = {
            key[0]: value if key in own else structs.replace(value, is_collapsed=True)
            for key, value in zip(flights, values, strict=True)
        }
        return [one or shared[key] for one, key in zip(found, keys, strict=True)]

    async def covered(self, tenant: str, scope: Scope) -> set[str]:
        """Return the keys of the tenant's values in both tiers that a deletion would cover; raises RedisUnavailable."""
        if scope.kind not in {None, self.kind} or (scope.collection and self.kind == "embedding"):
            return set()
        prefix = key_prefix(self.kind, tenant, scope.collection)
        keys = {
            key for key, cached in self.memory.items() if key.startswith(prefix) and scope.owner in {None, cached.owner}
        }
        if self.shared:
            keys |= await self.shared.covered(prefix, scope.owner)
        return keys

    async def free(self, keys: Collection[str]) -> None:
        """Free the room of values that a deletion covers."""
        for key in keys:
            self.memory.remove(key)
        if self.shared:
            await self.shared.remove([*keys])

    async def close(self) -> None:
        """Wait for what is on its way to Redis."""
        if self._writes:
            await asyncio.wait(self._writes)

    async def _fetch(
        self, places: list[int], keys: Sequence[str], terms: Terms, epoch: int, compute: Compute
    ) -> list[Found]:
        """Return the values of the keys at these places: from Redis, else computed in one call."""
        fetched = await self._from_redis([keys[place] for place in places], terms)
        missing = [place for place in places if keys[place] not in fetched]
        if missing and terms.demands.only_cached:
            raise NotCached("There is no cached answer to this request, and `only-if-cached` asks for nothing else.")
        if missing:
            computed = await compute(missing)
            for place, value in zip(missing, computed, strict=True):
                fetched[keys[place]] = _found(value, terms, epoch)
        self._keep({keys[place]: fetched[keys[place]] for place in missing}, terms)
        return [fetched[keys[place]] for place in places]

    async def _from_redis(self, keys: list[str], terms: Terms) -> dict[str, Found]:
        if self.shared is None or not terms.is_confirmed:
            return {}
        if not terms.demands.reads:
            self.counts["redis", "bypass"] += len(keys)
            return {}
        values = await self.shared.read(keys, terms.tenant)
        if values is None:
            self.counts["redis", "error"] += len(keys)
            return {}
        fetched: dict[str, Found] = {}
        for key, cached in zip(keys, values, strict=True):
            if cached and self._may_serve(cached, terms):
                fetched[key] = Found(cached, "redis")
                self._remember(key, cached)
        self.counts["redis", "hit"] += len(fetched)
        self.counts["redis", "miss"] += len(keys) - len(fetched)
        return fetched

    def _may_serve(self, cached: Cached, terms: Terms) -> bool:
        age = time.time() - cached.stored
        most = terms.demands.max_age_seconds
        return (
            cached.version == terms.version
            and age < cached.ttl_seconds
            and (most is None or age <= most)
            and self._deletions.allows(terms.tenant, cached, self.kind, terms.collection)
        )

    def _keep(self, computed: dict[str, Found], terms: Terms) -> None:
        kept = {key: found.cached for key, found in computed.items() if found.is_kept}
        for key, cached in kept.items():
            self._remember(key, cached)
        if kept and self.shared and terms.is_confirmed and len(self._writes) < MOST_WRITES:
            with budgeted(None):  # nobody waits for it
                write = asyncio.create_task(self.shared.write(kept))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    def _remember(self, key: str, cached: Cached) -> None:
        self.memory.put(key, structs.replace(cached, kept=time.monotonic()))


def uncached(computed: Computed, terms: Terms) -> Found:
    """Return what was computed where there is no cache to keep it."""
    return structs.replace(_found(computed, terms, 0), is_kept=False)


def _found(computed: Computed, terms: Terms, epoch: int) -> Found:
    ttl = terms.ttl_seconds if computed.ttl_seconds is None else min(computed.ttl_seconds, terms.ttl_seconds)
    cached = Cached(
        value=computed.value,
        version=terms.version,
        epoch=epoch,
        owner=terms.demands.owner,
        stored=time.time(),
        ttl_seconds=ttl * random.uniform(1 - JITTER, 1),  # noqa: S311  # spreads load, keeps no secret
    )
    return Found(cached, is_kept=ttl > 0 and terms.demands.stores)
