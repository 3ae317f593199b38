"""What Prometheus and Grafana are given."""

import json
from typing import Any

import yaml

from scripts.chart.rendering import Object, environments, of_kind
from scripts.chart.schema import CHART
from tests.chart.parts import Rendered, one

RULES = [
    rule
    for file in sorted((CHART / "rules").glob("*.yaml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule["alert"] for rule in RULES if "alert" in rule]


def test_the_metrics_are_read_on_the_port_of_the_service(rendered: Rendered) -> None:
    objects = rendered("production")
    service, monitor = one(objects, "Service"), one(objects, "ServiceMonitor")["spec"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["path"] == "/metrics"
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_all_rules_are_there_as_their_files_have_them(rendered: Rendered) -> None:
    given = [rule for group in groups(rendered("production")) for rule in group["rules"]]
    assert [json.dumps(rule, sort_keys=True) for rule in given] == [json.dumps(rule, sort_keys=True) for rule in RULES]


def test_alerts_can_be_left_out_by_name(rendered: Rendered) -> None:
    values = {"prometheusRule": {"enabled": True, "disabled": ALERTS[:2]}}
    left = groups(rendered(values=values))
    assert [rule["alert"] for group in left for rule in group["rules"] if "alert" in rule] == ALERTS[2:]
    assert all(group["rules"] for group in left)


def test_a_file_of_which_all_rules_are_left_out_leaves_no_object(rendered: Rendered) -> None:
    left = of_kind(rendered(values={"prometheusRule": {"enabled": True, "disabled": ALERTS}}), "PrometheusRule")
    with_records = [file.stem for file in (CHART / "rules").glob("*.yaml") if "- record:" in file.read_text()]
    assert {found["metadata"]["name"] for found in left} == {f"retrieval-{name}" for name in with_records}
    assert all(found["spec"]["groups"] for found in left)


def test_alerts_lead_to_their_runbook_where_it_is_known_to_stand(rendered: Rendered) -> None:
    site = "https://git.example.com/retrieval/blob/main/"
    alerts = [
        rule["annotations"]
        for group in groups(rendered(values={"prometheusRule": {"enabled": True, "runbookUrl": site}}))
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert len(alerts) == len(ALERTS)
    assert all(alert["runbook_url"] == site + alert["runbook"] for alert in alerts)


def test_one_of_two_environments_in_a_cluster_brings_rules_and_dashboards(rendered: Rendered) -> None:
    def brings(environment: str) -> bool:
        return any("-dashboard-" in found["metadata"]["name"] for found in rendered(environment)) or bool(
            of_kind(rendered(environment), "PrometheusRule")
        )

    assert [name for name in environments() if brings(name)] == ["production"]


def test_no_two_groups_of_a_rule_object_have_one_name(rendered: Rendered) -> None:
    for found in of_kind(rendered("production"), "PrometheusRule"):
        names = [group["name"] for group in found["spec"]["groups"]]
        assert len({*names}) == len(names)


def groups(objects: list[Object]) -> list[dict[str, Any]]:
    """Return the groups of all rules."""
    return [group for found in of_kind(objects, "PrometheusRule") for group in found["spec"]["groups"]]


def test_each_dashboard_is_a_config_map_that_grafana_finds(rendered: Rendered) -> None:
    values = {"dashboards": {"enabled": True, "labels": {"team": "search"}}}
    maps = [
        found for found in of_kind(rendered(values=values), "ConfigMap") if "-dashboard-" in found["metadata"]["name"]
    ]
    shown = {name: json.loads(content) for found in maps for name, content in found["data"].items()}
    assert shown == {
        f"retrieval-{file.name}": json.loads(file.read_text()) for file in (CHART / "dashboards").glob("*.json")
    }
    assert all(found["metadata"]["labels"]["team"] == "search" for found in maps)
