"""What the tests of the rendered chart share."""

import json
from typing import Any

import pytest

from scripts.chart.rendering import Object, render
from tests.chart.parts import Rendered
from tests.tools.programs import HELM
from tests.tools.servers import missing


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    """Render an environment ("": the defaults) and further values; what was rendered once is kept."""
    if not HELM.exists():
        missing("helm", "make servers")
    kept: dict[str, list[Object]] = {}

    def render_once(environment: str = "", values: dict[str, Any] | None = None) -> list[Object]:
        key = json.dumps([environment, values])
        if key not in kept:
            kept[key] = render(environment, values)
        return kept[key]

    return render_once
