"""The page that is opened when somebody is paged: the first row says what is wrong, the others how it came."""

from typing import Final

from scripts.dashboards.panels import Dashboard, Lines, Query, Row, graph, number
from scripts.dashboards.queries import API, FAILED, FAQ, REQUESTS, SEARCHES, of, quantile, rate, total_rate

IN_BATCHES: Final = "retrieval_batch_queries_total"
ALERTS: Final = 'ALERTS{namespace="$namespace", job="$job", severity!="info"}'
BURNS: Final = Lines(warning=1, critical=14.4)


def percentiles(histogram: str, *matchers: str) -> tuple[Query, ...]:
    """Return the three lines of a latency."""
    return tuple(
        Query(quantile(fraction, histogram, *matchers), name)
        for fraction, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


def burning(what: str, budget: str) -> tuple[Query, ...]:
    """Return how quickly an error budget goes, by the windows of its alerts."""
    windows = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    return tuple(Query(f"{of(f'job:retrieval_{what}:ratio_rate{window}')} / {budget}", window) for window in windows)


WRONG = Row(
    "What is wrong",
    (
        number(
            "Alerts",
            "Alerts of this release, pending or firing, information aside. Each has a section in docs/runbooks.md.",
            "short",
            Query(f"count({ALERTS})"),
            lines=Lines(1, 2),
            if_nothing="none",
        ),
        number(
            "Failed requests",
            "Answers that were 5xx (504 aside) in five minutes, each query of a batch an answer. Red: more than 1 %. "
            "Next: Failed by route, below.",
            "percentunit",
            Query(of("job:retrieval_answers_failed:ratio_rate5m")),
            lines=Lines(0.001, 0.01),
        ),
        number(
            "Searches p95",
            "The slowest twentieth of all searches takes longer. Next: Stages, on the page Retrieval.",
            "s",
            Query(quantile(0.95, REQUESTS, SEARCHES)),
            lines=Lines(0.1, 1),
        ),
        number(
            "FAQ p95",
            "The slowest twentieth of FAQ searches takes longer. Over 100 ms is an alert.",
            "s",
            Query(quantile(0.95, FAQ)),
            lines=Lines(0.05, 0.1),
        ),
        number(
            "Hit rate",
            "Part of searches whose result came from a cache. Falls after imports and restarts; next: the page Caches.",
            "percentunit",
            Query(of("job_cache:retrieval_cache_hits:ratio_rate5m", 'cache="result"')),
            lines=Lines(0.6, 0.5),
        ),
        number(
            "Dependencies",
            "Whether every process reaches the store and Redis. Next: the page Dependencies.",
            "short",
            Query(f"min({of('retrieval_dependency_up')})"),
            lines=Lines(1, 0.5),
            words=(("0", "down"), ("1", "up")),
        ),
    ),
)
TRAFFIC = Row(
    "Traffic and errors",
    (
        graph(
            "Requests by route",
            "What is asked. A sudden change here explains most others.",
            "reqps",
            Query(total_rate(f"{REQUESTS}_count", API, by="route"), "{{route}}"),
        ),
        graph(
            "Answers by status",
            "4xx are the callers' mistakes. 503 with Retry-After: overloaded, or the store is away. 500: read the log.",
            "reqps",
            Query(total_rate(f"{REQUESTS}_count", API, by="status"), "{{status}}"),
            is_stacked=True,
        ),
        graph(
            "Failed by route",
            "Which routes answer 5xx, and of which batches queries do. The log has a line `request` for each, with its "
            "request id; not for those turned away.",
            "reqps",
            Query(total_rate(f"{REQUESTS}_count", API, *FAILED, by="route, status") + " > 0", "{{status}} {{route}}"),
            Query(total_rate(IN_BATCHES, *FAILED, by="route, status") + " > 0", "{{status}} in {{route}}"),
        ),
    ),
)
LATENCY = Row(
    "Latency",
    (
        graph(
            "Searches",
            "All searches, batches included. p50 well and p99 bad: few are slow, often the misses of a cache.",
            "s",
            *percentiles(REQUESTS, SEARCHES),
            lines=Lines(0.1, 1),
        ),
        graph(
            "FAQ searches",
            "p95 over 100 ms for five minutes is an alert.",
            "s",
            *percentiles(FAQ),
            lines=Lines(0.05, 0.1),
        ),
        graph(
            "p95 by route",
            "Which route is slow. Imports may be: they take as long as their bodies.",
            "s",
            Query(quantile(0.95, REQUESTS, API, by="route"), "{{route}}"),
        ),
    ),
)
SATURATION = Row(
    "Saturation",
    (
        graph(
            "Requests in progress",
            "Of all processes, against how many searches they compute at once: they lower it themselves as computing "
            "slows down. Close to it, or a falling limit: add replicas. Hits and imports count, too, but take "
            "no place.",
            "short",
            Query(f"sum({of('active_connections')})", "in progress"),
            Query(f"sum({of('retrieval_concurrency_limit')})", "searches computed at once, at most"),
            width=6,
        ),
        graph(
            "Turned away",
            "Searches refused with 503. queue_full: the line was full. queue_timeout: a turn did not come in time. "
            "Anything here for long: add replicas.",
            "reqps",
            Query(total_rate("retrieval_shed_total", by="reason"), "{{reason}}"),
            width=6,
        ),
        graph(
            "Processor by process",
            "One core answers; imports and embedding use more.",
            "cores",
            Query(rate("process_cpu_seconds_total"), "{{pod}}"),
            width=6,
        ),
        graph(
            "Memory by process",
            "Resident. Grows with the caches up to RETRIEVAL_CACHE_MEMORY_MB, and with imports. At the limit of its "
            "container the kernel ends a process.",
            "bytes",
            Query(of("process_resident_memory_bytes"), "{{pod}}"),
            Query(f"min({of('retrieval_memory_limit_bytes')})", "limit"),
            width=6,
        ),
    ),
)
BUDGETS = Row(
    "Error budgets (1 uses one up in its 30 days, 14.4 in two) and alerts",
    (
        graph(
            "Answers without 5xx (99.9 %)",
            "Pages at 14.4 (1 h and 5 m) and 6 (6 h and 30 m), a ticket at 3 and 1.",
            "x",
            *burning("answers_failed", "0.001"),
            lines=BURNS,
        ),
        graph(
            "Searches under 100 ms (99 %)",
            "Pages at 14.4 (1 h and 5 m) and 6 (6 h and 30 m), a ticket at 3 and 1.",
            "x",
            *burning("searches_slow", "0.01"),
            lines=BURNS,
        ),
        graph(
            "Alerts by name",
            "Which were pending or firing when. The first one is closest to the cause.",
            "short",
            Query(f"sum by (alertname, alertstate) ({ALERTS})", "{{alertname}} {{alertstate}}"),
            is_stacked=True,
        ),
    ),
)
PAGE = Dashboard(
    "overview",
    "Retrieval: overview",
    "Read the first row. What is red there has its cause below, or on the page that its description names.",
    (WRONG, TRAFFIC, LATENCY, SATURATION, BUDGETS),
)
