"""Files that repeat what others say are written from those, and are current."""

import pytest

from scripts.chart.cluster import cluster_files
from scripts.chart.generated import SCHEMA, files_beside, schema_text
from scripts.chart.rendering import ENVIRONMENTS
from scripts.chart.schema import CHART
from tests.chart.parts import Rendered
from tests.tools.programs import HELM_DOCS
from tests.tools.servers import missing

REMEDY = "python -m scripts.chart writes it anew"


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
