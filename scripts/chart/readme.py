"""The chart's README, which helm-docs writes from the comments of values.yaml."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from scripts.chart.schema import CHART
from tests.tools.programs import HELM_DOCS

READ = ("Chart.yaml", "values.yaml", "README.md.gotmpl")


def readme() -> str:
    """Return what helm-docs renders."""
    with tempfile.TemporaryDirectory() as temporary:
        for name in READ:
            shutil.copy(CHART / name, temporary)
        subprocess.run([HELM_DOCS, "--chart-search-root", temporary], check=True, capture_output=True)
        return (Path(temporary) / "README.md").read_text()
