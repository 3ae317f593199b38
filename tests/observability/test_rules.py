"""Prometheus takes the rules, and each alert fires when it should and is silent when it should be."""

from pathlib import Path

import pytest
import yaml

from tests.observability.expressions import Rule, rules
from tests.observability.watched import RULES
from tests.tools.prometheus import promtool

STORIES = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
SLOW = {"slos.yaml"}
"""Evaluates three days, minute by minute."""
ALERTS = [rule for rule in rules() if rule.is_alert]
SEVERITIES = {"critical", "warning", "info"}


def name_of(alert: Rule) -> str:
    return alert.name + (f" {alert.labels['long']}" if "long" in alert.labels else "")


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yaml")), ids=lambda path: path.name)
def test_prometheus_takes_the_rules(path: Path) -> None:
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path.name in SLOW else []) for path in STORIES],
    ids=lambda path: path.name,
)
def test_alerts_fire_and_are_silent_as_told(path: Path) -> None:
    told = promtool("test", "rules", path)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=name_of)
def test_each_alert_has_a_story_in_which_it_fires(alert: Rule) -> None:
    assert any(_fires(alert, sample["labels"]) for _, expected in _expectations() for sample in expected)


@pytest.mark.parametrize("alert", ALERTS, ids=name_of)
def test_each_alert_has_a_story_in_which_it_is_silent(alert: Rule) -> None:
    silent = [expression for expression, expected in _expectations() if not expected]
    assert any(_asks_for(alert, expression) for expression in silent)


@pytest.mark.parametrize("alert", ALERTS, ids=name_of)
def test_an_alert_says_how_bad_it_is_and_what_is_wrong(alert: Rule) -> None:
    assert alert.labels["severity"] in SEVERITIES
    assert "$labels.namespace" in alert.annotations["summary"]
    assert alert.annotations["description"].endswith(".")


def test_what_is_recorded_is_kept_by_namespace_and_job() -> None:
    names = {rule.name for rule in rules() if not rule.is_alert}
    assert names
    for rule in rules():
        if not rule.is_alert:
            assert "by (namespace, job" in rule.expression or any(name in rule.expression for name in names), rule.name


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert.name.endswith("BudgetBurn")], ids=name_of)
def test_a_budget_burns_by_ten_bad_answers_in_its_long_window(alert: Rule) -> None:
    bad = "job:retrieval_answers_failed" if "Error" in alert.name else "job:retrieval_searches_slow"
    assert f"and sum_over_time({bad}:rate5m[{alert.labels['long']}:5m]) * 300 >= 10" in alert.expression


def _expectations() -> list[tuple[str, list[dict[str, str]]]]:
    """Return each expression of the stories with what it has to give."""
    stories = [story for path in STORIES for story in yaml.safe_load(path.read_text())["tests"]]
    return [(test["expr"], test["exp_samples"]) for story in stories for test in story["promql_expr_test"]]


def _asks_for(alert: Rule, expression: str) -> bool:
    window = f'long="{alert.labels["long"]}"' if "long" in alert.labels else ""
    return f'alertname="{alert.name}"' in expression and (window in expression or "long=" not in expression)


def _fires(alert: Rule, labels: str) -> bool:
    return f'alertname="{alert.name}"' in labels and all(
        f'{key}="{value}"' in labels for key, value in alert.labels.items()
    )
