"""All dashboards, and where they are kept."""

from pathlib import Path
from typing import Final

from scripts.dashboards import caches, dependencies, kubernetes, overview, retrieval

FOLDER: Final = Path(__file__).parents[2] / "charts" / "retrieval" / "dashboards"
PAGES: Final = (overview.PAGE, caches.PAGE, retrieval.PAGE, dependencies.PAGE, kubernetes.PAGE)
