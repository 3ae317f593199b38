"""All files that are written from the chart's values, its templates and the service's settings."""

import json
from pathlib import Path

from scripts.chart.cluster import cluster_files
from scripts.chart.readme import readme
from scripts.chart.rendering import ENVIRONMENTS
from scripts.chart.schema import CHART, values_schema

SCHEMA = CHART / "values.schema.json"


def schema_text() -> str:
    """Return the schema as its file has it."""
    return json.dumps(values_schema(), indent=2) + "\n"


def files_beside() -> dict[Path, str]:
    """Return the other files, which helm and helm-docs render; helm reads the schema."""
    beside = {ENVIRONMENTS.parent / name: content for name, content in cluster_files().items()}
    return {CHART / "README.md": readme(), **beside}
