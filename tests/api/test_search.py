"""What a caller of /search, /search/context and /faq/search sees."""

import json
from typing import Any

import httpx
import pytest


def search(client: httpx.Client, **request: Any) -> Any:
    answer = client.post("/search", json={"query": "red planet", "collection": "planets", **request})
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(client: httpx.Client, **request: Any) -> list[str]:
    return sorted(hit["document_id"] for hit in search(client, **request)["hits"])


def test_a_search_returns_passages_with_their_scores(client: httpx.Client) -> None:
    answer = search(client)
    assert answer.keys() == {"collection", "version", "mode", "truncated", "degraded", "hits"}
    assert (answer["collection"], answer["mode"], answer["truncated"], answer["degraded"]) == (
        "planets",
        "hybrid",
        False,
        [],
    )
    best = answer["hits"][0]
    assert best.keys() == {
        "id",
        "document_id",
        "title",
        "text",
        "position",
        "score",
        "vector_score",
        "keyword_score",
        "metadata",
    }
    assert (best["document_id"], best["title"], best["position"]) == ("mars", "Mars", 0)
    assert best["text"].startswith("Mars is the fourth planet")
    assert best["metadata"]["names"] == ["Mars", "Ares"]
    assert best["metadata"]["discovered"] == "1610-01-01"
    assert 0.2 < best["vector_score"] < 1


def test_modes_use_their_legs(client: httpx.Client) -> None:
    vector = search(client, mode="vector")["hits"]
    assert all(hit["keyword_score"] is None and hit["score"] == hit["vector_score"] for hit in vector)
    keyword = search(client, query="iron oxide", mode="keyword")["hits"]
    assert [hit["document_id"] for hit in keyword] == ["mars"]
    assert all(hit["vector_score"] is None and hit["score"] == hit["keyword_score"] for hit in keyword)


def test_fusions_both_find_what_both_legs_find(client: httpx.Client) -> None:
    for fusion in ("relative", "rrf"):
        assert search(client, query="rings of ice", fusion=fusion)["hits"][0]["document_id"] == "saturn"


def test_hits_below_the_minimum_vector_score_are_dropped(client: httpx.Client) -> None:
    scores = [hit["vector_score"] for hit in search(client)["hits"]]
    kept = search(client, minimum_vector_score=max(scores))["hits"]
    assert [hit["vector_score"] for hit in kept] == [max(scores)]


def test_the_limit_holds(client: httpx.Client) -> None:
    assert len(search(client, limit=2)["hits"]) == 2


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"kind": "rocky"}, ["earth", "mars"]),
        ({"kind": ["giant", "dwarf"]}, ["saturn"]),
        ({"kind": {"ne": "giant"}}, ["earth", "mars"]),
        ({"moons": {"gte": 2}}, ["mars", "saturn"]),
        ({"moons": {"gt": 2, "lt": 300}}, ["saturn"]),
        ({"discovered": {"lt": "1700-01-01"}}, ["mars"]),
        ({"discovered": {"exists": False}}, ["earth", "saturn"]),
        ({"discovered": {"ne": "1610-01-01"}}, ["earth", "saturn"]),
        ({"names": {"contains": "Gaia"}}, ["earth"]),
        ({"names": {"contains": "gaia"}}, []),
        ({"ring": True}, ["saturn"]),
        ({"density": {"lte": 0.7}}, ["saturn"]),
        ({"density": {"gt": 1}}, ["mars"]),
        ({"density": 4.0}, ["mars"]),
        ({"document_id": "earth"}, ["earth"]),
        ({"any_of": [{"kind": "giant"}, {"moons": 1}]}, ["earth", "saturn"]),
        ({"none_of": [{"kind": "giant"}, {"moons": 1}]}, ["mars"]),
        ({"kind": "rocky", "none_of": [{"any_of": [{"moons": 1}]}]}, ["mars"]),
        ({"kind": "rocky", "ring": True}, []),
        ({"moons": {"gt": 5, "lt": 3}}, []),
        ({}, ["earth", "mars", "saturn"]),
    ],
)
def test_filters_give_what_they_say(client: httpx.Client, filters: dict[str, Any], expected: list[str]) -> None:
    assert found(client, mode="vector", filters=filters) == expected
    in_keyword_mode = found(client, query="Mars Saturn Earth", mode="keyword", filters=filters)
    assert in_keyword_mode == expected
    assert found(client, query="Mars Saturn Earth", filters=filters) == expected


def test_parameters_ask_the_same_as_a_body(client: httpx.Client) -> None:
    filters = {"kind": "rocky"}
    answer = client.get(
        "/search",
        params={"q": "red planet", "collection": "planets", "limit": 2, "alpha": 0.5, "filters": json.dumps(filters)},
    )
    assert answer.status_code == 200
    assert answer.json() == search(client, limit=2, alpha=0.5, filters=filters)


def test_a_query_longer_than_the_window_is_answered_and_marked(client: httpx.Client) -> None:
    assert search(client, query="red planet " * 300)["truncated"]


def test_in_a_batch_one_bad_query_fails_alone_in_its_place(client: httpx.Client) -> None:
    good = {"query": "red planet", "collection": "planets"}
    queries = [good, {"query": ""}, {"query": "x", "collection": "nowhere"}, {"quary": "x"}, good]
    results = client.post("/search/batch", json={"queries": queries}).json()["results"]
    assert [result.get("status") for result in results] == [None, 422, 404, 422, None]
    assert results[0] == results[4] == search(client)


def test_context_is_ready_for_a_prompt(client: httpx.Client) -> None:
    request = {"query": "red planet", "collection": "planets", "limit": 2, "token_budget": 200, "neighbours": 1}
    answer = client.post("/search/context", json=request).json()
    assert answer.keys() == {"context", "citations", "tokens", "version"}
    assert answer["context"].startswith("[1] Mars\nMars is the fourth planet")
    assert answer["citations"][0] == {"mark": "[1]", "document_id": "mars", "title": "Mars", "positions": [0]}
    assert 0 < answer["tokens"] <= 200


def test_every_answer_carries_its_id_and_its_times(client: httpx.Client) -> None:
    answer = client.post(
        "/search",
        json={"query": "red planet", "collection": "planets"},
        headers={"X-Request-ID": "mine-1", "Cache-Control": "no-store"},
    )
    assert answer.headers["x-request-id"] == "mine-1"
    names = [entry.partition(";")[0] for entry in answer.headers["server-timing"].split(", ")]
    assert sorted(names) == ["embed", "fuse", "keyword", "total", "vector"]
    assert len(client.get("/nowhere", headers={"X-Request-ID": "a b\tc" * 99}).headers["x-request-id"]) == 36


def test_a_faq_search_returns_each_entry_once(client: httpx.Client) -> None:
    request = {"query": "I forgot my password!", "collection": "help", "minimum_score": 0.0}
    answer = client.post("/faq/search", json=request).json()
    assert answer.keys() == {"collection", "version", "truncated", "answers"}
    assert [entry["id"] for entry in answer["answers"]] == ["reset", "refund"]
    best = answer["answers"][0]
    assert best["question"] == "How do I reset my password?"
    assert best["matched_question"] == "I forgot my password"
    assert best["answer"] == "Use the link on the login page."
    assert best["metadata"] == {"topic": "account"}
    assert best["score"] > 0.9


def test_a_faq_search_answers_nothing_below_the_threshold(client: httpx.Client) -> None:
    request = {"query": "what is the weather like", "collection": "help"}
    assert client.post("/faq/search", json=request).json()["answers"] == []


def test_a_faq_search_takes_filters(client: httpx.Client) -> None:
    request = {
        "query": "password",
        "collection": "help",
        "minimum_score": -1,
        "filters": {"topic": {"ne": "account"}},
    }
    answers = client.post("/faq/search", json=request).json()["answers"]
    assert [entry["id"] for entry in answers] == ["refund"]


def test_a_faq_batch_answers_in_order(client: httpx.Client) -> None:
    queries = [{"query": "refund", "collection": "help"}, {"query": "x", "limit": 0}]
    results = client.post("/faq/search/batch", json={"queries": queries}).json()["results"]
    assert results[0]["collection"] == "help"
    assert results[1]["status"] == 422
