"""Every panel's and alert's query returns data from real services under load, and none names what does not exist."""

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.dashboards.pages import PAGES
from tests.observability.exporters import OF_CONTAINERS, OTHERS, PROMETHEUS
from tests.observability.expressions import Rule, filled, names_in, operands, rules
from tests.observability.watched import JOBS, Watched, watched
from tests.tools.prometheus import RunningPrometheus, running_prometheus
from tests.tools.servers import Unwell, wait_until
from tests.tools.weaviate import RunningNode

LOAD_SECONDS = 15
PATIENCE_SECONDS = 60
"""Of a rate, which needs an event between two scrapes of a series: the first of its kind makes the series alone."""
QUERIES = [
    pytest.param(query.expression, id=f"{page.name}: {panel.title} {number}")
    for page in PAGES
    for panel in page.panels
    for number, query in enumerate(panel.queries)
]
ELSEWHERE = OTHERS | OF_CONTAINERS
OWN = [query for query in QUERIES if not names_in(str(query.values[0])) & ELSEWHERE]
"""There is no Kubernetes here, nor a container: what comes from there is checked for syntax and names."""
RULES = {f"{rule.name} {rule.labels.get('long', '')}".strip(): rule for rule in rules()}
FOREIGN = ELSEWHERE | {
    rule.name for rule in RULES.values() if not rule.is_alert and names_in(rule.expression) & ELSEWHERE
}
"""There is no Kubernetes here: nor is there what rules make of it."""
EXPRESSIONS = [pytest.param(rule.expression, id=name) for name, rule in RULES.items()]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, weaviate: RunningNode) -> Iterator[Watched]:
    """Services that were under load for a while, then lost Weaviate for a moment, and then Redis for good."""
    with watched(tmp_path_factory.mktemp("watched"), weaviate) as running:
        time.sleep(LOAD_SECONDS)
        with frozen(weaviate):
            failing = 'rate(retrieval_batch_queries_total{job="weaviate", status="503"}[10s]) > 0'
            running.prometheus.wait_for(failing, PATIENCE_SECONDS)
        with frozen(*running.redis.values()):
            open_breakers = 'count(retrieval_breaker_open{dependency="redis"} == 1) == 3'
            running.prometheus.wait_for(open_breakers, PATIENCE_SECONDS)
            wait_until(lambda: has_data(running, 'ALERTS{alertname="RetrievalRedisDown"}', JOBS[0]), PATIENCE_SECONDS)
            yield running


@contextmanager
def frozen(*servers: Unwell) -> Iterator[None]:
    """Have servers answer nothing for as long as the block runs."""
    for server in servers:
        server.freeze()
    try:
        yield
    finally:
        for server in servers:
            server.thaw()


@pytest.fixture(scope="module")
def exported(seen: Watched) -> set[str]:
    """The names of all series that one of the services exports."""
    lines = [line for pod in seen.services for line in seen.exposition(pod).splitlines()]
    return {line.partition("{")[0].partition(" ")[0] for line in lines if not line.startswith("#")}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrometheus]:
    with running_prometheus(tmp_path_factory.mktemp("empty")) as running:
        yield running


def has_data(seen: Watched, expression: str, job: str) -> bool:
    """Whether an expression had a value at any time since the load began."""
    lines = seen.prometheus.query_range(filled(expression, job), seen.began, time.time(), 1)
    return any(math.isfinite(value) for line in lines for _, value in line.points)


@pytest.mark.parametrize("expression", OWN)
def test_a_panel_shows_data(seen: Watched, expression: str) -> None:
    wait_until(lambda: any(has_data(seen, expression, job) for job in JOBS), PATIENCE_SECONDS)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_has_values_to_compare(seen: Watched, rule: Rule) -> None:
    for operand in operands(rule.expression) if rule.is_alert else [rule.expression]:
        if not names_in(operand) & FOREIGN:
            hastened = re.sub(r"\[\w+:5m\]", "[1m:1s]", operand)  # a test is over before a step of five minutes
            wait_until(lambda query=hastened: has_data(seen, query, JOBS[0]), PATIENCE_SECONDS)  # type: ignore[misc]


@pytest.mark.parametrize("expression", [*QUERIES, *EXPRESSIONS])
def test_no_query_names_a_metric_that_does_not_exist(exported: set[str], expression: str) -> None:
    names = names_in(expression)
    recorded = {name for name, rule in RULES.items() if not rule.is_alert}
    assert names
    assert names <= exported | recorded | ELSEWHERE | PROMETHEUS


@pytest.mark.parametrize("expression", QUERIES)
def test_prometheus_understands_a_panel(empty: RunningPrometheus, expression: str) -> None:
    assert empty.query(filled(expression, JOBS[0])) == []


def test_rules_are_evaluated_without_an_error(seen: Watched) -> None:
    groups = seen.prometheus.ask("rules")["groups"]
    assert len([rule for group in groups for rule in group["rules"]]) == len(rules())
    assert not [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")]


def test_an_alert_tells_who_is_meant(seen: Watched) -> None:
    firing = seen.prometheus.ask("alerts")["alerts"]
    summaries = [alert["annotations"]["summary"] for alert in firing if "Redis" in alert["labels"]["alertname"]]
    assert "Redis does not answer embedded in retrieval" in summaries


def test_one_notices_a_metric_that_does_not_exist() -> None:
    invented = 'sum by (job) (rate(retrieval_invented_total{job="a", route=~"{x}"}[5m])) / (up > 0) or on (job) other:x'
    assert names_in(invented) == {"retrieval_invented_total", "up", "other:x"}
