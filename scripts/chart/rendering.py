"""What helm renders of the chart, as objects."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from scripts.chart.schema import CHART
from tests.tools.programs import HELM

ENVIRONMENTS = CHART.parents[1] / "k8s" / "environments"
RELEASE = "retrieval"

Object = dict[str, Any]


class RefusedValues(Exception):
    """Helm's own words."""


def environments() -> list[str]:
    """Return the names of the environments, the first of them development."""
    return sorted(file.stem for file in ENVIRONMENTS.glob("*.yaml"))


def namespace_of(environment: str) -> str:
    """Return where an environment is installed."""
    return f"{RELEASE}-{environment}"


def render(environment: str = "", values: Mapping[str, Any] | None = None, *, chart: Path = CHART) -> list[Object]:
    """Render the chart as an environment ("": by its defaults) and further values; raises RefusedValues."""
    namespace = namespace_of(environment) if environment else "default"
    command = [str(HELM), "template", RELEASE, str(chart), "--namespace", namespace]
    if environment:
        command += ["--values", str(ENVIRONMENTS / f"{environment}.yaml")]
    done = subprocess.run(
        [*command, "--values", "-"], input=json.dumps(values or {}), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RefusedValues(done.stderr)
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [found for found in objects if found["kind"] == kind]
