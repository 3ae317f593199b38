"""Writes the chart's dashboards; `python -m scripts.dashboards pictures` draws them from a real Prometheus."""

import sys

from scripts.dashboards.grafana import rendered
from scripts.dashboards.pages import FOLDER, PAGES


def main() -> None:
    """Write the JSON, or draw the pictures of the documentation."""
    if sys.argv[1:] == ["pictures"]:
        from scripts.dashboards.pictures import draw_all  # noqa: PLC0415  # needs matplotlib, and two minutes

        draw_all()
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        (FOLDER / f"{page.name}.json").write_text(rendered(page))


if __name__ == "__main__":
    main()
