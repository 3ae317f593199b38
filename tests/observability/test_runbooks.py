"""Whoever is paged finds a section for the alert, and every link in it leads somewhere."""

import re
from pathlib import Path

import pytest

from scripts.dashboards.pages import PAGES
from tests.observability.expressions import Rule, rules

DOCS = Path(__file__).parents[2] / "docs"
RUNBOOKS = DOCS / "runbooks.md"
ALERTS = {rule.name: rule for rule in rules() if rule.is_alert}
PARTS = ("**Means**", "**Look at**", "**Harmless**")
TEMPLATES = DOCS.parent / "charts" / "retrieval" / "templates"
LARGEST_PICTURE = 200_000


def sections() -> dict[str, str]:
    parts = re.split(r"^## ", RUNBOOKS.read_text(), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


def anchors(path: Path) -> set[str]:
    """Return what GitHub makes of the headings: small letters, hyphens for spaces, no other signs."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6} (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_names_its_section(alert: Rule) -> None:
    file, _, anchor = alert.annotations["runbook"].partition("#")
    assert DOCS.parent / file == RUNBOOKS
    assert anchor == alert.name.lower()
    assert anchor in anchors(RUNBOOKS)


@pytest.mark.parametrize("name", ALERTS)
def test_a_section_says_what_it_means_what_to_do_and_when_it_is_harmless(name: str) -> None:
    text = sections()[name]
    assert all(part in text for part in PARTS)
    assert "**do**" in text.lower()


def test_the_operators_page_lists_every_alert_with_its_severities_and_runbook() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\((\S+)\) \| ([a-z, ]+) \|", (DOCS / "operations.md").read_text(), flags=re.MULTILINE
    )
    severities = {name: {rule.labels["severity"] for rule in rules() if rule.name == name} for name in ALERTS}
    assert {name: set(listed.split(", ")) for name, _, listed in rows} == severities
    assert all(target == f"runbooks.md#{name.lower()}" for name, target, _ in rows)


def test_no_section_is_of_an_alert_that_does_not_exist() -> None:
    assert sections().keys() == ALERTS.keys()


@pytest.mark.parametrize("path", [RUNBOOKS, DOCS / "dashboards" / "README.md"], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", path.read_text())
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_panels_that_runbooks_name_exist() -> None:
    titles = {page.name: {panel.title for panel in page.panels} | {row.title for row in page.rows} for page in PAGES}
    text = " ".join(RUNBOOKS.read_text().split())
    named = re.findall(r"\b(Overview|Caches|Retrieval|Dependencies|Kubernetes): ([A-Z][^.;:()*]*)", text)
    assert named
    for page, list_of_panels in named:
        first = list_of_panels.partition(",")[0].partition(" and ")[0]
        assert any(title.startswith(first) or first.startswith(title) for title in titles[page.lower()]), (page, first)


def test_the_first_commands_reach_every_pod_by_the_names_that_the_chart_gives() -> None:
    first = RUNBOOKS.read_text().partition("\n## ")[0]
    labels = (TEMPLATES / "_helpers.tpl").read_text().partition('"retrieval.selectorLabels"')[2].partition("end")[0]
    selected = re.findall(r"(app\.kubernetes\.io/\w+)=", first)
    assert selected
    assert all(f"{label}: " in labels for label in selected)
    containers = re.findall(r"-c (\w+)", first)
    assert containers
    assert all(f"- name: {container}\n" in (TEMPLATES / "deployment.yaml").read_text() for container in containers)
    assert not re.findall(r"exec deploy/|logs deploy/JOB (?!-c \w+ --all-pods)", first)


@pytest.mark.parametrize("page", [page.name for page in PAGES if page.name != "kubernetes"])
def test_a_page_has_a_picture_of_reasonable_size(page: str) -> None:
    assert 10_000 < (DOCS / "dashboards" / f"{page}.svg").stat().st_size < LARGEST_PICTURE
