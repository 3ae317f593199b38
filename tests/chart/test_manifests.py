"""What is rendered is what Kubernetes knows, field by field, and nothing that kube-score finds fault with."""

import pytest
import yaml

from scripts.chart.rendering import ENVIRONMENTS, environments
from tests.chart.options import OPTIONS
from tests.chart.parts import Rendered, one
from tests.tools.manifests import score, validate


@pytest.mark.parametrize("environment", environments())
def test_every_field_of_an_environment_is_one_that_kubernetes_knows(rendered: Rendered, environment: str) -> None:
    assert validate(rendered(environment)) == []


@pytest.mark.parametrize("environment", environments())
def test_kube_score_finds_no_fault_with_an_environment(rendered: Rendered, environment: str) -> None:
    assert score(rendered(environment)) == []


@pytest.mark.parametrize("option", OPTIONS)
def test_every_field_of_an_option_is_one_that_kubernetes_knows(rendered: Rendered, option: str) -> None:
    assert validate(rendered("", OPTIONS[option])) == []


@pytest.mark.parametrize("option", OPTIONS)
def test_kube_score_finds_no_fault_with_an_option(rendered: Rendered, option: str) -> None:
    assert score(rendered("", OPTIONS[option])) == []


@pytest.mark.parametrize("name", ["namespaces", "argocd"])
def test_every_field_of_what_stands_beside_the_chart_is_one_that_is_known(name: str) -> None:
    found = list(yaml.safe_load_all((ENVIRONMENTS.parent / f"{name}.yaml").read_text()))

    assert validate(found) == []


def test_a_misspelt_field_of_the_disruption_budget_is_found(rendered: Rendered) -> None:
    budget = one(rendered("production"), "PodDisruptionBudget")
    misspelt = budget | {"spec": {**budget["spec"], "maxUnavailible": 1}}

    (complaint,) = validate([misspelt])

    assert "maxUnavailible" in complaint


def test_a_misspelt_field_of_a_custom_kind_is_found(rendered: Rendered) -> None:
    monitor = one(rendered("production"), "ServiceMonitor")
    misspelt = monitor | {"spec": {**monitor["spec"], "endpoint": []}}

    (complaint,) = validate([misspelt])

    assert "endpoint" in complaint


def test_a_kind_that_nothing_describes_is_found(rendered: Rendered) -> None:
    unknown = one(rendered("production"), "PodDisruptionBudget") | {"kind": "PodDisruptionBudgets"}

    (complaint,) = validate([unknown])

    assert "PodDisruptionBudgets" in complaint


def test_a_container_without_limits_is_found_by_kube_score(rendered: Rendered) -> None:
    deployment = one(rendered("production"), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    careless = {**pod, "containers": [{**container, "resources": {}} for container in pod["containers"]]}
    template = {**deployment["spec"]["template"], "spec": careless}

    faults = score([{**deployment, "spec": {**deployment["spec"], "template": template}}])

    assert any("container-resources" in fault for fault in faults)
