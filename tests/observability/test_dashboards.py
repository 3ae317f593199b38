"""The chart's dashboards are what the code renders, and can be read by somebody who was just woken up."""

import json
from typing import Any

import pytest

from scripts.dashboards.grafana import rendered
from scripts.dashboards.pages import FOLDER, PAGES
from scripts.dashboards.panels import Dashboard


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Dashboard:
    found: Dashboard = request.param
    return found


@pytest.fixture
def committed(page: Dashboard) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / f"{page.name}.json").read_text())
    return read


def test_the_chart_holds_what_the_code_renders(page: Dashboard) -> None:
    path = FOLDER / f"{page.name}.json"
    assert path.read_text() == rendered(page), "run python -m scripts.dashboards"


def test_the_chart_holds_no_other_dashboards() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{page.name}.json" for page in PAGES}


def test_a_dashboard_keeps_its_address(page: Dashboard, committed: dict[str, Any]) -> None:
    assert committed["uid"] == f"retrieval-{page.name}"
    assert "id" not in committed


def test_one_chooses_data_source_namespace_and_job(committed: dict[str, Any]) -> None:
    assert [variable["name"] for variable in committed["templating"]["list"]] == ["datasource", "namespace", "job"]
    queries = [target for panel in committed["panels"] for target in panel.get("targets", [])]
    assert queries
    assert all(target["datasource"]["uid"] == "${datasource}" for target in queries)


def test_every_query_is_of_the_chosen_release(page: Dashboard) -> None:
    for panel in page.panels:
        for query in panel.queries:
            assert '"$namespace"' in query.expression, panel.title
            assert "$job" in query.expression, panel.title


def test_panels_do_not_lie_on_each_other(committed: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in committed["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    identifiers = [panel["id"] for panel in committed["panels"]]
    assert len(set(identifiers)) == len(identifiers)


def test_the_first_row_says_at_a_glance_what_is_wrong(page: Dashboard) -> None:
    first = page.rows[0]
    assert {panel.kind for panel in first.panels} == {"number"}
    assert any(panel.lines for panel in first.panels)


def test_every_panel_says_what_to_look_at_and_in_which_unit(committed: dict[str, Any]) -> None:
    for panel in committed["panels"]:
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_a_number_is_of_now(committed: dict[str, Any]) -> None:
    numbers = [panel for panel in committed["panels"] if panel["type"] == "stat"]
    assert numbers
    assert all(target["instant"] and not target["range"] for panel in numbers for target in panel["targets"])


def test_low_is_bad_where_the_lines_say_so() -> None:
    overview = json.loads((FOLDER / "overview.json").read_text())
    steps = {
        panel["title"]: [
            (step["color"], step["value"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for panel in overview["panels"]
        if panel["type"] == "stat"
    }
    assert steps["Hit rate"] == [("red", None), ("orange", 0.5), ("green", 0.6)]
    assert steps["Failed requests"] == [("green", None), ("orange", 0.001), ("red", 0.01)]
