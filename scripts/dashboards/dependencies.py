"""The store and Redis as the service sees them: away, slow, or left alone."""

from typing import Final

from scripts.dashboards.panels import Dashboard, Lines, Query, Row, graph, number
from scripts.dashboards.queries import of, quantile, total_rate

UP: Final = (("0", "down"), ("1", "up"))
STORE_ONLY: Final = 'dependency="store"'
REDIS_ONLY: Final = 'dependency="redis"'
REDIS_ERRORS: Final = ("retrieval_cache_requests_total", 'tier="redis"', 'outcome="error"')

NOW = Row(
    "What is away",
    (
        number(
            "Store",
            "Whether every process reaches Weaviate, or the embedded store. Down: only cached answers go on.",
            "short",
            Query(f"min({of('retrieval_dependency_up', STORE_ONLY)})"),
            lines=Lines(1, 0.5),
            words=UP,
        ),
        number(
            "Redis",
            "Whether every process reaches it. Down: fewer hits; with Weaviate, writes are refused.",
            "short",
            Query(f"min({of('retrieval_dependency_up', REDIS_ONLY)})"),
            lines=Lines(1, 0.5),
            words=UP,
            if_nothing="not used",
        ),
        number(
            "Open breakers",
            "Over all processes. Which: Breakers, below.",
            "short",
            Query(f"sum({of('retrieval_breaker_open')})"),
            lines=Lines(1, 2),
            if_nothing="none",
        ),
        number(
            "Redis errors",
            "Calls a second that failed or were too late. The breaker opens at three in a row.",
            "ops",
            Query(total_rate(*REDIS_ERRORS)),
            lines=Lines(0.1, 10),
            if_nothing="not used",
        ),
        number(
            "Calls under way",
            "In all Weaviate nodes.",
            "short",
            Query(f"sum({of('retrieval_store_in_flight')})"),
            if_nothing="no Weaviate",
        ),
        number(
            "Late after",
            "A read that takes longer is sent to a second node: the p95 or so of recent ones, of the slowest process.",
            "s",
            Query(f"max({of('retrieval_store_late_seconds')})"),
            if_nothing="no Weaviate",
        ),
    ),
)
STATES = Row(
    "States",
    (
        graph(
            "Up by process",
            "1 reached, 0 not. One process alone: its node or its network; all: the dependency.",
            "short",
            Query(of("retrieval_dependency_up"), "{{dependency}} {{pod}}"),
            most=1,
        ),
        graph(
            "Breakers",
            "How many processes leave a dependency alone. Up and down: it is slow rather than dead.",
            "short",
            Query(f"sum by (dependency) ({of('retrieval_breaker_open')})", "{{dependency}}"),
        ),
        graph(
            "Free disk",
            "Embedded store only: what its file system has left. Below 100 MB imports are refused, searches go on.",
            "bytes",
            Query(of("retrieval_data_free_bytes"), "{{pod}}"),
            lines=Lines(1e9, 1e8),
        ),
    ),
)
STORE = Row(
    "Store",
    (
        graph(
            "Time of searches",
            "p95 of the store's two legs.",
            "s",
            Query(
                quantile(0.95, "retrieval_stage_duration_seconds", 'stage=~"vector|keyword"', by="stage"), "{{stage}}"
            ),
            width=6,
        ),
        graph(
            "Calls under way by node",
            "Weaviate only. One node far above the others: it is slow. All at a ceiling: Weaviate is saturated.",
            "short",
            Query(f"sum by (node) ({of('retrieval_store_in_flight')})", "{{node}}"),
            width=6,
        ),
        graph(
            "Hedges",
            "Weaviate only: reads sent to a second node for being late. won: it answered first. Many: a node is slow.",
            "ops",
            Query(total_rate("retrieval_store_hedges_total", by="outcome"), "{{outcome}}"),
            width=6,
        ),
        graph(
            "Late after",
            "Weaviate only: follows how long reads take. Rising: Weaviate is getting slower.",
            "s",
            Query(of("retrieval_store_late_seconds"), "{{pod}}"),
            width=6,
        ),
    ),
)
REDIS = Row(
    "Redis",
    (
        graph(
            "Time of calls",
            "Of those that searches wait for. Over RETRIEVAL_REDIS_BUDGET_MS they are given up.",
            "s",
            Query(quantile(0.5, "retrieval_stage_duration_seconds", 'stage="redis"'), "p50"),
            Query(quantile(0.95, "retrieval_stage_duration_seconds", 'stage="redis"'), "p95"),
            lines=Lines(0.01, 0.05),
        ),
        graph(
            "Errors by cache",
            "With the breaker closed: out of memory, read-only after a failover, or slow.",
            "ops",
            Query(total_rate(*REDIS_ERRORS, by="cache"), "{{cache}}"),
        ),
        graph(
            "Version age",
            "Seconds since a process last heard from Redis. Rising in one process: that one is cut off.",
            "s",
            Query(of("retrieval_version_age_seconds"), "{{pod}}"),
            lines=Lines(2, 10),
        ),
    ),
)
PAGE = Dashboard(
    "dependencies",
    "Retrieval: dependencies",
    "The store and Redis as the service sees them. Panels that say Weaviate only are empty with the embedded store.",
    (NOW, STATES, STORE, REDIS),
)
