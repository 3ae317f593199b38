"""What the caches spare, and whether what they serve is current."""

from typing import Final

from scripts.dashboards.panels import Dashboard, Lines, Query, Row, graph, number
from scripts.dashboards.queries import growth, known, of, quantile, total_rate

LOOKUPS: Final = "retrieval_cache_requests_total"
ANSWERS: Final = "retrieval_answer_duration_seconds"
SAVED: Final = "retrieval_saved_total"
RATIO: Final = "job_cache:retrieval_cache_hits:ratio_rate5m"


def hit_rate(by: str) -> str:
    """Return the part of lookups in a tier that were hits, by labels."""
    hits, lookups = (total_rate(LOOKUPS, f'outcome=~"{outcomes}"', by=by) for outcomes in ("hit", "hit|miss"))
    return known(f"{hits} / {lookups}")


def faq_hit_rate() -> str:
    """Return the part of FAQ searches that were answered from the result cache."""
    hits, misses = (total_rate(f"faq_cache_{outcome}_total", 'cache_type="result"') for outcome in ("hits", "misses"))
    return known(f"{hits} / ({hits} + {misses})")


NOW = Row(
    "Do they help, and is it current?",
    (
        number(
            "Results",
            "Hits of either tier by lookups. Under 60 % for 15 minutes is an alert, under 50 % a page.",
            "percentunit",
            Query(of(RATIO, 'cache="result"')),
            lines=Lines(0.6, 0.5),
        ),
        number(
            "Embeddings",
            "Asked only where the result was missed: low while many queries are new.",
            "percentunit",
            Query(of(RATIO, 'cache="embedding"')),
        ),
        number("FAQ", "FAQ searches whose result was cached.", "percentunit", Query(faq_hit_rate())),
        number(
            "Saved dollars",
            "What embeddings spared in the range above would have cost, by RETRIEVAL_EMBEDDING_PRICE_PER_1000.",
            "currencyUSD",
            Query(growth("retrieval_saved_dollars_total")),
        ),
        number(
            "Stale served",
            "Results served in the range above while nobody could say whether they were current: Redis was away.",
            "short",
            Query(growth("retrieval_stale_served_total")),
            lines=Lines(1, 1000),
        ),
        number(
            "Version age",
            "How long ago the worst process last heard from Redis what is in use. Above a second: it is cut off.",
            "s",
            Query(f"max({of('retrieval_version_age_seconds')})"),
            lines=Lines(2, 10),
            if_nothing="no Redis",
        ),
    ),
)
HITS = Row(
    "Hit rate",
    (
        graph(
            "By cache",
            "Over both tiers. A step down after an import is right: a write makes its collection's results misses.",
            "percentunit",
            Query(of(RATIO), "{{cache}}"),
            lines=Lines(0.6, 0.5),
            most=1,
        ),
        graph(
            "By cache and tier",
            "Redis is asked where memory missed. Low in memory and high in Redis: more memory, or clients that wander.",
            "percentunit",
            Query(hit_rate("cache, tier"), "{{cache}} {{tier}}"),
            most=1,
        ),
        graph(
            "Lookups by outcome",
            "bypass: the caller wanted none. error: Redis failed, or did not take a value.",
            "ops",
            Query(total_rate(LOOKUPS, by="cache, tier, outcome") + " > 0", "{{cache}} {{tier}} {{outcome}}"),
        ),
    ),
)
LATENCY = Row(
    "Latency by tier",
    (
        graph(
            "Median answer by tier",
            "By where the result came from; none: it was computed. What a cache is worth is the space between.",
            "s",
            Query(quantile(0.5, ANSWERS, by="tier"), "{{tier}}"),
        ),
        graph(
            "p95 answer by tier",
            "Redis as slow as none: Redis is in trouble, see the page Dependencies.",
            "s",
            Query(quantile(0.95, ANSWERS, by="tier"), "{{tier}}"),
            lines=Lines(0.1, 1),
        ),
        graph(
            "FAQ p95, hit and miss",
            "Misses over 100 ms and many of them are what the alert on FAQ searches sees.",
            "s",
            Query(quantile(0.95, "faq_retrieval_latency_seconds", by="cache"), "{{cache}}"),
            lines=Lines(0.05, 0.1),
        ),
    ),
)
SAVINGS = Row(
    "Savings",
    (
        graph(
            "Computations spared",
            "Embeddings and store queries that need not be made.",
            "ops",
            Query(total_rate(SAVED, by="what"), "{{what}}"),
        ),
        graph(
            "Dollars an hour",
            "Of embeddings, at this moment's rate.",
            "currencyUSD",
            Query(f"3600 * {total_rate('retrieval_saved_dollars_total', by='what')}", "{{what}}"),
        ),
        graph(
            "FAQ lookups",
            "Hits and misses of FAQ searches, by cache.",
            "ops",
            Query(total_rate("faq_cache_hits_total", by="cache_type"), "{{cache_type}} hits"),
            Query(total_rate("faq_cache_misses_total", by="cache_type"), "{{cache_type}} misses"),
        ),
    ),
)
MEMORY = Row(
    "Memory tier",
    (
        graph(
            "Entries",
            "By cache, of all processes.",
            "short",
            Query(f"sum by (cache) ({of('retrieval_cache_entries')})", "{{cache}}"),
        ),
        graph(
            "Bytes by process",
            "Of both caches together; RETRIEVAL_CACHE_MEMORY_MB is the limit.",
            "bytes",
            Query(f"sum by (pod) ({of('retrieval_cache_bytes')})", "{{pod}}"),
        ),
        graph(
            "Evictions",
            "Entries that had to go for others. Many, with a low hit rate in memory: give the caches more.",
            "ops",
            Query(total_rate("retrieval_cache_evictions_total", by="cache"), "{{cache}}"),
        ),
    ),
)
VERSIONS = Row(
    "Versions",
    (
        graph(
            "Version age by process",
            "Seconds since a process last heard from Redis which versions are in use; it asks twice a second.",
            "s",
            Query(of("retrieval_version_age_seconds"), "{{pod}}"),
            lines=Lines(2, 10),
            width=12,
        ),
        graph(
            "Stale served",
            "Results served unconfirmed, RETRIEVAL_MEMORY_TRUST_SECONDS old at most.",
            "ops",
            Query(total_rate("retrieval_stale_served_total", by="pod"), "{{pod}}"),
            width=12,
        ),
    ),
)
PAGE = Dashboard(
    "caches",
    "Retrieval: caches",
    "Whether the caches help (hit rate), what that is worth (latency, savings), and whether it is current.",
    (NOW, HITS, LATENCY, SAVINGS, MEMORY, VERSIONS),
)
