"""What the caches did, for people, dashboards and the log: read where it is asked for, counted by the caches."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from service.caches.base import OUTCOMES, TIERS, Kind, Outcome, Tier
from service.caches.cache import Cache
from service.caches.following import Follower
from service.caches.redis import Redis
from service.telemetry import Telemetry

logger = logging.getLogger(__name__)

SUMMARY_SECONDS: Final = 60.0


class TierAccount(Struct, frozen=True, kw_only=True):
    """What one tier of one cache did since the start, and what it holds."""

    hits: int
    misses: int
    bypasses: int
    errors: int
    hit_rate: float
    """Of hits and misses; 0 before the first."""
    entries: int | None
    """None where it was not counted."""
    bytes: int | None


class Savings(Struct, frozen=True, kw_only=True):
    """What need not be computed, and what that would have cost."""

    embeddings: int
    store_queries: int
    dollars: float


class Saved(Struct):
    """What the caches saved since the start; whoever serves a hit adds to it."""

    embeddings: int = 0
    tokens: int = 0
    """Of the texts that need not be embedded; about, at four characters each."""
    store_queries: int = 0

    def spare_embedding(self, text: str) -> None:
        """Count a text that need not be embedded."""
        self.embeddings += 1
        self.tokens += len(text) // 4 + 1

    def savings(self, price_per_1000: float) -> Savings:
        """Return the account; the price is in US dollars for 1,000 tokens."""
        return Savings(
            embeddings=self.embeddings,
            store_queries=self.store_queries,
            dollars=round(self.tokens / 1000 * price_per_1000, 9),
        )


def account_of(cache: Cache, tier: Tier, entries: int | None, size: int | None) -> TierAccount:
    """Return one tier's account."""
    hits, misses, bypasses, errors = (count_of(cache, tier, outcome) for outcome in OUTCOMES)
    return TierAccount(
        hits=hits,
        misses=misses,
        bypasses=bypasses,
        errors=errors,
        hit_rate=rate(hits, misses),
        entries=entries,
        bytes=size,
    )


def count_of(cache: Cache, tier: Tier, outcome: Outcome) -> int:
    """Return how often a lookup in a tier had this outcome; errors are also values that Redis did not take."""
    beside = cache.shared.errors if cache.shared and (tier, outcome) == ("redis", "error") else 0
    return cache.counts[tier, outcome] + beside


def hit_rate(cache: Cache) -> float:
    """Return the part of lookups that one of the tiers answered."""
    hits = cache.counts["memory", "hit"] + cache.counts["redis", "hit"]
    return rate(hits, cache.counts["memory", "miss"] - cache.counts["redis", "hit"])


def rate(hits: int, misses: int) -> float:
    """Return the part of lookups that were hits."""
    return round(hits / (hits + misses), 4) if hits + misses else 0.0


def export(caches: Sequence[Cache], telemetry: Telemetry) -> None:
    """Export the counts of all caches."""

    def sizes(read: str) -> Iterator[tuple[Sequence[str], float]]:
        return (((cache.kind,), getattr(cache.memory, read)) for cache in caches)

    telemetry.add_source(
        "retrieval_cache_requests",
        "Lookups by what became of them",
        ["cache", "tier", "outcome"],
        lambda: _requests(caches),
    )
    telemetry.add_source(
        "retrieval_cache_evictions", "Entries that had to go for others", ["cache"], lambda: sizes("evictions")
    )
    telemetry.add_source("retrieval_cache_bytes", "In memory", ["cache"], lambda: sizes("bytes"), is_counter=False)
    telemetry.add_source("retrieval_cache_entries", "In memory", ["cache"], lambda: sizes("entries"), is_counter=False)
    telemetry.add_source(
        "retrieval_stale_served",
        "Results served while their version could not be confirmed",
        [],
        lambda: [((), sum(cache.unconfirmed for cache in caches))],
    )


def export_savings(saved: Saved, price_per_1000: float, telemetry: Telemetry) -> None:
    """Export what the caches saved, in computations and in US dollars."""

    def counts() -> Iterable[tuple[Sequence[str], float]]:
        return [(("embedding",), saved.embeddings), (("store",), saved.store_queries)]

    def dollars() -> Iterable[tuple[Sequence[str], float]]:
        return [(("embedding",), saved.savings(price_per_1000).dollars)]

    telemetry.add_source("retrieval_saved", "Computations that a cache made needless", ["what"], counts)
    telemetry.add_source("retrieval_saved_dollars", "What they would have cost", ["what"], dollars)


def export_faq(embeddings: Mapping[str, int], telemetry: Telemetry) -> None:
    """Export the hits and misses of FAQ searches; `embeddings` are counted by whoever embeds for them."""
    for outcome, name in (("hit", "faq_cache_hits"), ("miss", "faq_cache_misses")):

        def counts(outcome: str = outcome) -> Iterable[tuple[Sequence[str], float]]:
            return [(("result",), telemetry.faq_results[outcome]), (("embedding",), embeddings[outcome])]

        telemetry.add_source(name, f"FAQ searches by {outcome}", ["cache_type"], counts)


def export_redis(redis: Redis, follower: Follower, telemetry: Telemetry) -> None:
    """Export whether Redis is left alone, and how old what is known of it may be."""
    age = "Seconds since Redis was last heard of the versions and deletions in use"
    telemetry.add_source("retrieval_version_age_seconds", age, [], lambda: [((), follower.age())], is_counter=False)
    telemetry.add_breaker("redis", lambda: redis.is_open)


@asynccontextmanager
async def summing_up(caches: Sequence[Cache]) -> AsyncIterator[None]:
    """Log what the caches did, once a minute."""

    async def log_for_ever() -> None:
        before: dict[tuple[Kind, Tier], tuple[int, int]] = {}
        while True:
            await asyncio.sleep(SUMMARY_SECONDS)
            logger.info("caches", extra=summary(caches, before))

    task = asyncio.create_task(log_for_ever())
    try:
        yield
    finally:
        task.cancel()


def summary(caches: Sequence[Cache], before: dict[tuple[Kind, Tier], tuple[int, int]]) -> dict[str, object]:
    """Return hits and misses by cache and tier since the last summary, whose totals `before` holds and then the new."""
    told: dict[str, object] = {}
    for cache in caches:
        for tier in TIERS:
            totals = cache.counts[tier, "hit"], cache.counts[tier, "miss"]
            old = before.get((cache.kind, tier), (0, 0))
            before[cache.kind, tier] = totals
            told[f"{cache.kind}_{tier}"] = {"hits": totals[0] - old[0], "misses": totals[1] - old[1]}
        told[f"{cache.kind}_entries"] = cache.memory.entries
    return told


def _requests(caches: Sequence[Cache]) -> Iterable[tuple[Sequence[str], float]]:
    for cache in caches:
        for tier in TIERS if cache.shared else TIERS[:1]:
            for outcome in OUTCOMES:
                yield (cache.kind, tier, outcome), count_of(cache, tier, outcome)
