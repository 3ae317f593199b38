"""Files that repeat what others say are written from those, and are current."""

from typing import Any

import pytest
import yaml

from scripts.chart.cluster import cluster_files, names_its_secrets
from scripts.chart.generated import SCHEMA, files_beside, schema_text
from scripts.chart.rendering import ENVIRONMENTS
from scripts.chart.schema import CHART
from tests.chart.parts import Rendered
from tests.tools.programs import HELM_DOCS
from tests.tools.servers import missing

REMEDY = "python -m scripts.chart writes it anew"
NAMED: dict[str, Any] = {"existingSecret": "mine"}
INSIDE: dict[str, Any] = {"enabled": True}


def test_the_schema_follows_the_values_and_the_settings() -> None:
    assert SCHEMA.read_text() == schema_text(), REMEDY


@pytest.mark.usefixtures("rendered")
def test_the_readme_and_the_files_of_the_cluster_follow_the_chart() -> None:
    if not HELM_DOCS.exists():
        missing("helm-docs", "make servers")
    for file, content in files_beside().items():
        assert file.read_text() == content, f"{file.name}: {REMEDY}"


def test_every_value_is_described() -> None:
    lines = (CHART / "README.md").read_text().splitlines()
    assert not [line for line in lines if line.startswith("|") and line.endswith("|  |")]


@pytest.mark.usefixtures("rendered")
def test_nothing_else_stands_in_the_folder_of_the_cluster() -> None:
    assert {file.name for file in ENVIRONMENTS.parent.iterdir()} == {"environments", *cluster_files()}


def test_what_the_adapter_offers_is_what_the_autoscaler_reads(rendered: Rendered) -> None:
    (autoscaler,) = (found for found in rendered("production") if found["kind"] == "HorizontalPodAutoscaler")
    (name,) = (metric["pods"]["metric"]["name"] for metric in autoscaler["spec"]["metrics"] if "pods" in metric)
    assert f"matches: ^{name}$" in cluster_files()["prometheus-adapter.yaml"]


@pytest.mark.usefixtures("rendered")
def test_the_adapter_asks_the_prometheus_that_keda_would() -> None:
    given = yaml.safe_load(cluster_files()["prometheus-adapter.yaml"])["prometheus"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert f"{given['url']}:{given['port']}" == values["keda"]["prometheusAddress"]


@pytest.mark.parametrize(
    ("values", "is_given"),
    [
        ({"apiKeys": NAMED}, True),
        ({}, False),
        ({"apiKeys": NAMED, "redis": INSIDE}, False),
        ({"apiKeys": NAMED, "weaviate": INSIDE}, False),
        ({"apiKeys": NAMED, "redis": INSIDE | NAMED, "weaviate": INSIDE | NAMED}, True),
        ({"apiKeys": NAMED, "redis": {"url": "redis://redis"}}, True),
    ],
)
def test_argo_cd_is_given_what_needs_no_secret_that_each_rendering_would_make_anew(
    values: dict[str, Any], *, is_given: bool
) -> None:
    assert names_its_secrets(values) == is_given


@pytest.mark.usefixtures("rendered")
def test_argo_cd_is_not_to_overwrite_the_label_by_which_objects_find_each_other() -> None:
    text = cluster_files()["argocd.yaml"]
    template = yaml.safe_load(text)["spec"]["template"]
    assert template["metadata"]["name"] != template["spec"]["source"]["helm"]["releaseName"]
    assert "track" in text
    assert "application.instanceLabelKey" in text
