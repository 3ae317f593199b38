"""Where the time of a search goes, what filters do to it, and what is imported."""

from typing import Final

from scripts.dashboards.panels import Dashboard, Lines, Query, Row, graph, number
from scripts.dashboards.queries import FAILED, FAQ, REQUESTS, SEARCHES, growth, known, mean, of, quantile, total_rate

STAGES: Final = "retrieval_stage_duration_seconds"
FRACTION: Final = "retrieval_filter_fraction"
PLAN_ERROR: Final = "retrieval_plan_error_ratio"
IMPORTS: Final = "retrieval_import_documents_total"
WRITING: Final = 'route=~"/collections/.+"'
"""Routes that write; what reads has some of them, too, as no label tells the method."""


def failed_writes() -> str:
    """Return the part of the answers of routes that write which were failures, by route."""
    failed, all_of_them = (total_rate(f"{REQUESTS}_count", WRITING, *matchers, by="route") for matchers in (FAILED, ()))
    return known(f"{failed} / {all_of_them}")


NOW = Row(
    "Now",
    (
        number(
            "Searches",
            "A second, batches as one.",
            "reqps",
            Query(total_rate(f"{REQUESTS}_count", SEARCHES)),
        ),
        number(
            "Embedding p95",
            "The model's part of a search that was not cached. High: the processor is busy, often by imports.",
            "s",
            Query(quantile(0.95, STAGES, 'stage="embed"')),
            lines=Lines(0.05, 0.25),
        ),
        number(
            "Vector search p95",
            "The store's part. High: see the page Dependencies, or Plans below.",
            "s",
            Query(quantile(0.95, STAGES, 'stage="vector"')),
            lines=Lines(0.05, 0.25),
        ),
        number(
            "Plan error",
            "Median of estimated by actual matches, where they were counted. 1 is right; far off: statistics are old.",
            "x",
            Query(quantile(0.5, PLAN_ERROR)),
        ),
        number(
            "Passages",
            "In all collections, as the largest count of a process.",
            "short",
            Query(f"sum(max by (collection) ({of('retrieval_passages')}))"),
        ),
        number(
            "Import failures",
            "Documents and entries that were refused in the range above. The answers of the imports say why.",
            "short",
            Query(growth(IMPORTS, 'outcome="failures"')),
            lines=Lines(1, 100),
            if_nothing="none",
        ),
    ),
)
TIMES = Row(
    "Stages",
    (
        graph(
            "p95 by stage",
            "embed: the model. vector, keyword: the store. fuse: ranking. redis: the shared cache.",
            "s",
            Query(quantile(0.95, STAGES, by="stage"), "{{stage}}"),
        ),
        graph(
            "Seconds spent a second",
            "Which stage the processes are busy with: the highest is where tuning pays.",
            "short",
            Query(total_rate(f"{STAGES}_sum", by="stage"), "{{stage}}"),
            is_stacked=True,
        ),
        graph(
            "Runs by stage",
            "embed far below vector: embeddings come from the cache.",
            "ops",
            Query(total_rate(f"{STAGES}_count", by="stage"), "{{stage}}"),
        ),
    ),
)
PLANS = Row(
    "Filters and plans",
    (
        graph(
            "Plans",
            "exact: so few match that each is compared. filtered: the index is searched. empty: nothing can match.",
            "ops",
            Query(total_rate("retrieval_plan_total", by="strategy"), "{{strategy}}"),
        ),
        graph(
            "Selectivity",
            "Which part of a collection filters let through, estimated. Close to 1: they cost and do little.",
            "percentunit",
            Query(quantile(0.1, FRACTION), "a tenth lets through less"),
            Query(quantile(0.5, FRACTION), "median"),
            Query(quantile(0.9, FRACTION), "a tenth lets through more"),
            most=1,
        ),
        graph(
            "Plan error",
            "Estimated by actual matches, where they were counted. 0.1 or 10 and more: plans rest on old statistics.",
            "x",
            Query(quantile(0.1, PLAN_ERROR), "p10"),
            Query(quantile(0.5, PLAN_ERROR), "median"),
            Query(quantile(0.9, PLAN_ERROR), "p90"),
        ),
    ),
)
QUESTIONS = Row(
    "FAQ",
    (
        graph(
            "FAQ searches",
            "By whether the result was cached.",
            "reqps",
            Query(total_rate(f"{FAQ}_count", by="cache"), "{{cache}}"),
            width=12,
        ),
        graph(
            "FAQ latency",
            "Mean and p95, by whether the result was cached.",
            "s",
            Query(mean(FAQ, by="cache"), "mean {{cache}}"),
            Query(quantile(0.95, FAQ, by="cache"), "p95 {{cache}}"),
            lines=Lines(0.05, 0.1),
            width=12,
        ),
    ),
)
WRITES = Row(
    "Imports",
    (
        graph(
            "Documents and entries by outcome",
            "unchanged is cheap; created and updated are embedded. failures: the importer's answer says why.",
            "ops",
            Query(total_rate(IMPORTS, by="outcome"), "{{outcome}}"),
            width=6,
        ),
        graph(
            "Mean time of an import",
            "By route: a request's whole body. Searches slow down while this is busy? Import at quieter times.",
            "s",
            Query(
                mean(REQUESTS, 'route=~"/collections/.*/(documents|entries|files).*"', by="route"),
                "{{route}}",
            ),
            width=6,
        ),
        graph(
            "Failed writes",
            "Part of answers that were 5xx, reads of the same route included. Over half is a page, however few.",
            "percentunit",
            Query(failed_writes(), "{{route}}"),
            lines=Lines(0.1, 0.5),
            most=1,
            width=6,
        ),
        graph(
            "Passages by collection",
            "The 50 largest; the rest are other. A step to zero: somebody deleted a collection.",
            "short",
            Query(f"max by (collection) ({of('retrieval_passages')})", "{{collection}}"),
            width=6,
        ),
    ),
)
PAGE = Dashboard(
    "retrieval",
    "Retrieval: searches and imports",
    "Where the time of a search goes, what filters do to it, and what is imported.",
    (NOW, TIMES, PLANS, QUESTIONS, WRITES),
)
