"""What a caller is told of the plan of a search, and that caches keep plans and answers apart."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import ENTRIES, PLANETS
from tests.tools.running import running_service

QUERY = {"query": "Which planet has many moons?", "collection": "planets"}
KEYS = {"strategy", "expected", "reason", "conditions", "estimated_matches", "matches"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running_service() as service, httpx.Client(base_url=service.url, timeout=60) as client:
        client.put("/collections/planets", json={"fields": {"density": "number"}}).raise_for_status()
        assert client.post("/collections/planets/documents", json=PLANETS).json()["failures"] == 0
        client.post("/collections/help/entries", json=ENTRIES).raise_for_status()
        yield client


def asked(client: httpx.Client, path: str = "/search", **fields: Any) -> dict[str, Any]:
    response = client.post(path, json={**QUERY, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def until(holds: Callable[[], bool]) -> bool:
    """Wait for what happens in the background."""
    for _ in range(1200):
        if holds():
            return True
        time.sleep(0.05)
    return False


def test_a_plan_tells_estimates_and_what_was_counted(client: httpx.Client) -> None:
    filters = {"density": {"gte": 0}}
    assert until(lambda: asked(client, filters=filters, explain=True)["plan"]["estimated_matches"] is not None)
    plan = asked(client, filters=filters, explain=True)["plan"]
    assert plan.keys() == KEYS
    assert (plan["strategy"], plan["expected"]) == ("exact", False)
    assert plan["estimated_matches"] == plan["matches"] > 0
    condition = {"field": "density", "operator": "gte", "estimate": plan["matches"]}
    assert [{**condition, "fraction": one["fraction"]} for one in plan["conditions"]] == plan["conditions"]


def test_what_statistics_prove_to_be_nothing_is_answered_at_once_until_something_is_written(
    client: httpx.Client,
) -> None:
    filters = {"density": {"gt": 900}}
    assert until(lambda: asked(client, filters=filters, explain=True)["plan"]["strategy"] == "empty")
    response = client.post("/search", json={**QUERY, "filters": filters, "limit": 3})
    assert response.json()["hits"] == []
    assert "embed" not in response.headers["server-timing"]
    star = {"id": "star", "title": "A neutron star", "text": "It has no moons.", "metadata": {"density": 1000}}
    client.post("/collections/planets/documents", json=star).raise_for_status()
    assert [hit["document_id"] for hit in asked(client, filters=filters)["hits"]] == ["star"]
    client.delete("/collections/planets/documents/star").raise_for_status()


def test_without_filters_the_plan_says_so(client: httpx.Client) -> None:
    plan = asked(client, explain=True)["plan"]
    assert plan["strategy"] == "unfiltered"
    assert plan["conditions"] == []
    assert plan["matches"] > 0


def test_a_cached_answer_has_no_plan_and_a_plan_is_never_cached(client: httpx.Client) -> None:
    filters = {"density": {"gte": 0}}
    for _ in range(2):
        assert "plan" not in asked(client, filters=filters)
        response = client.post("/search", json={**QUERY, "filters": filters, "explain": True})
        assert "plan" in response.json()
        assert "hit" not in response.headers["cache-status"]
        assert "etag" not in response.headers
    again = client.post("/search", json={**QUERY, "filters": filters})
    assert "hit" in again.headers["cache-status"]


def test_every_route_that_searches_explains(client: httpx.Client) -> None:
    contradiction = {"density": {"gt": 2, "lt": 1}}
    given = {**QUERY, "filters": contradiction, "explain": True}
    batch = client.post("/search/batch", json={"queries": [given]}).json()["results"][0]
    parameters = {
        "q": "moons",
        "collection": "planets",
        "explain": "true",
        "filters": '{"density": {"gt": 2, "lt": 1}}',
    }
    question = {"query": "password", "collection": "help", "explain": True, "filters": {"none_of": [{}]}}
    answers = [
        asked(client, filters=contradiction, explain=True),
        client.get("/search", params=parameters).json(),
        batch,
        asked(client, "/search/context", filters=contradiction, explain=True),
        client.post("/faq/search", json=question).json(),
        client.post("/faq/search/batch", json={"queries": [question]}).json()["results"][0],
    ]
    assert [(one["plan"]["strategy"], one["plan"]["matches"]) for one in answers] == [("empty", 0)] * len(answers)


def test_plans_are_counted(client: httpx.Client) -> None:
    asked(client, filters={"density": {"gt": 2, "lt": 1}}, limit=7)
    metrics = client.get("/metrics").text
    assert 'retrieval_plan_total{strategy="empty"}' in metrics
    assert "retrieval_filter_fraction_bucket" in metrics
    assert "retrieval_plan_error_ratio_bucket" in metrics
