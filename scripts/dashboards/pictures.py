"""Pictures of the dashboards for the documentation: real services under load, of which one loses Redis."""

import math
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from scripts.dashboards.drawing import Series, draw
from scripts.dashboards.pages import PAGES
from scripts.dashboards.panels import Dashboard, Panel, Query
from tests.observability.exporters import OTHERS
from tests.observability.expressions import filled, names_in
from tests.observability.watched import Watched, watched
from tests.tools.prometheus import Line
from tests.tools.weaviate import weaviate_server

FOLDER: Final = Path(__file__).parents[2] / "docs" / "dashboards"
JOB: Final = "weaviate"
WELL_SECONDS: Final = 75
"""Before Redis stops to answer."""
ILL_SECONDS: Final = 35
STEP_SECONDS: Final = 2.0


def draw_all() -> None:
    """Run services, traffic and Prometheus for two minutes, and draw what the dashboards show of it."""
    with tempfile.TemporaryDirectory() as directory, weaviate_server() as node, watched(Path(directory), node) as seen:
        sys.stderr.write(f"Watching for {WELL_SECONDS + ILL_SECONDS} s.\n")
        time.sleep(WELL_SECONDS)
        redis = seen.redis[JOB]
        redis.freeze()
        time.sleep(ILL_SECONDS)
        end = time.time()
        redis.thaw()
        FOLDER.mkdir(parents=True, exist_ok=True)
        for page in PAGES:
            if not _is_of_kubernetes(page):
                _draw(page, seen, end)


def _is_of_kubernetes(page: Dashboard) -> bool:
    return any(names_in(query.expression) & OTHERS for panel in page.panels for query in panel.queries)


def _draw(page: Dashboard, seen: Watched, end: float) -> None:
    answers = {place: _answer(panel, seen, end) for place, panel in enumerate(page.panels)}
    draw(page, answers, FOLDER / f"{page.name}.svg")


def _answer(panel: Panel, seen: Watched, end: float) -> list[Series]:
    begin = end if panel.kind == "number" else seen.began
    found: list[Series] = []
    for query in panel.queries:
        for line in seen.prometheus.query_range(filled(query.expression, JOB), begin, end, STEP_SECONDS):
            points = [(at - seen.began, value) for at, value in line.points if math.isfinite(value)]
            if points:
                found.append(Series(_name(query, line, panel), points))
    return found


def _name(query: Query, line: Line, panel: Panel) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: line.labels.get(label[1], ""), query.legend) or panel.title
