"""What a caller sees of the caches: with Redis and without."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.conftest import ENTRIES, PLANETS
from tests.tools.running import running_service
from tests.tools.servers import redis_server

MOONS = {"query": "Which planet has many moons?", "collection": "planets"}
PASSWORD = {"query": "How do I reset my password?", "collection": "help"}
ROOMY_MS = "5000"
"""For Redis: these tests are of what is answered, on a machine that may be busy with others."""
OWN_TO_EACH = {"x-request-id", "server-timing", "cache-status", "date", "content-length", "transfer-encoding"}


@pytest.fixture(scope="module", params=["memory", "redis"])
def caching(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with ExitStack() as stack:
        url = stack.enter_context(redis_server()).url if request.param == "redis" else ""
        service = stack.enter_context(running_service(redis_url=url, redis_budget_ms=ROOMY_MS))
        client = stack.enter_context(httpx.Client(base_url=service.url, timeout=60))
        client.put("/collections/planets", json={"fields": {"density": "number"}}).raise_for_status()
        assert client.post("/collections/planets/documents", json=PLANETS).json()["failures"] == 0
        client.post("/collections/help/entries", json=ENTRIES).raise_for_status()
        yield client


@pytest.fixture
def client(caching: httpx.Client) -> httpx.Client:
    caching.delete("/performance/cache").raise_for_status()
    return caching


def status_of(response: httpx.Response) -> str:
    assert response.status_code in {200, 304}, response.text
    return response.headers["cache-status"]


@pytest.mark.parametrize(("path", "body"), [("/search", MOONS), ("/faq/search", PASSWORD)])
def test_the_same_question_again_is_a_hit_with_the_same_answer(
    client: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    first, second = (client.post(path, json=body) for _ in range(2))
    assert status_of(first).startswith("results; fwd=miss; stored; ttl=")
    assert status_of(second).startswith("results; hit; detail=memory; ttl=")
    assert first.content == second.content
    assert "embed" in first.headers["server-timing"]
    assert "embed" not in second.headers["server-timing"]


def test_requests_that_mean_the_same_share_an_answer(client: httpx.Client) -> None:
    client.post("/search", json=MOONS | {"filters": {"kind": ["giant", "rocky"]}, "mode": "vector"})
    same = MOONS | {"query": "  Which planet  has many moons? ", "mode": "vector", "alpha": 0.1}
    again = client.post("/search", json=same | {"filters": {"kind": {"in": ["rocky", "giant", "rocky"]}}})
    assert "hit" in status_of(again)


@pytest.mark.parametrize("change", [{"limit": 3}, {"mode": "keyword"}, {"alpha": 0.2}, {"filters": {"moons": 2}}])
def test_requests_that_mean_something_else_do_not(client: httpx.Client, change: dict[str, Any]) -> None:
    client.post("/search", json=MOONS)
    assert "fwd=miss" in status_of(client.post("/search", json=MOONS | change))


def test_the_same_search_by_parameters_is_a_hit(client: httpx.Client) -> None:
    client.post("/search", json=MOONS)
    found = client.get("/search", params={"q": MOONS["query"], "collection": "planets"})
    assert "hit" in status_of(found)


def test_an_empty_result_is_cached(client: httpx.Client) -> None:
    nothing = MOONS | {"filters": {"moons": {"gt": 100_000}}}
    assert client.post("/search", json=nothing).json()["hits"] == []
    assert "hit" in status_of(client.post("/search", json=nothing))


@pytest.mark.parametrize("change", ["import", "delete", "field"])
def test_after_a_write_nothing_older_is_answered(client: httpx.Client, change: str) -> None:
    client.post("/collections/rings/documents", json=[{"id": "1", "text": "rings of ice"}, {"id": "2", "text": "dust"}])
    body = {"query": "rings", "collection": "rings"}
    before = [client.post("/search", json=body) for _ in range(2)][-1]
    if change == "import":
        client.post("/collections/rings/documents", json={"id": "3", "text": "rings of dust"})
    elif change == "delete":
        client.delete("/collections/rings/documents/1")
    else:
        client.put("/collections/rings", json={"fields": {"colour": "keyword"}})
    after = client.post("/search", json=body)
    assert "fwd=miss" in status_of(after)
    assert after.json()["version"] != before.json()["version"]
    assert after.headers["etag"] != before.headers["etag"]
    client.delete("/collections/rings").raise_for_status()


def test_a_collection_made_anew_shares_nothing_with_the_one_before(client: httpx.Client) -> None:
    body = {"query": "comet", "collection": "comets"}
    for text in ("a comet with a tail", "another comet"):
        client.post("/collections/comets/documents", json={"id": "1", "text": text})
        assert client.post("/search", json=body).json()["hits"][0]["text"] == text
        client.delete("/collections/comets").raise_for_status()


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("no-cache", "results; fwd=bypass; stored"),
        ("max-age=0", "results; fwd=bypass; stored"),
        ("no-store", "results; fwd=bypass"),
        ("max-age=100, private", "results; hit"),
        ("only-if-cached", "results; hit"),
    ],
)
def test_a_caller_directs_the_caches(client: httpx.Client, control: str, expected: str) -> None:
    client.post("/search", json=MOONS)
    status = status_of(client.post("/search", json=MOONS, headers={"Cache-Control": control}))
    assert status.startswith(expected)
    assert ("stored" in status) == ("stored" in expected)


def test_only_if_cached_fails_where_nothing_is(client: httpx.Client) -> None:
    answer = client.post("/search", json=MOONS | {"limit": 7}, headers={"Cache-Control": "only-if-cached"})
    assert (answer.status_code, answer.json()["title"]) == (504, "Not cached")


def test_max_age_refuses_what_is_older(client: httpx.Client) -> None:
    client.post("/search", json=MOONS)
    time.sleep(1.1)
    assert "fwd=miss" in status_of(client.post("/search", json=MOONS, headers={"Cache-Control": "max-age=1"}))


def test_a_max_age_that_is_no_number_is_explained(client: httpx.Client) -> None:
    answer = client.post("/search", json=MOONS, headers={"Cache-Control": "max-age=soon"})
    assert answer.status_code == 422
    assert "whole number of seconds" in answer.json()["errors"][0]["detail"]


def test_nothing_of_a_no_store_request_is_kept(client: httpx.Client) -> None:
    secret = {"query": "my secret question", "collection": "planets"}
    client.post("/search", json=secret, headers={"Cache-Control": "no-store"})
    assert client.delete("/performance/cache", params={"dry_run": True}).json()["entries"] == 0


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_caller_who_holds_the_answer_gets_304(client: httpx.Client, is_cached: bool) -> None:  # noqa: FBT001
    etag = client.post("/search", json=MOONS).headers["etag"]
    if not is_cached:
        client.delete("/performance/cache")
    for held in (etag, f'"other", {etag}', "*"):
        answer = client.post("/search", json=MOONS, headers={"If-None-Match": held})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert client.post("/search", json=MOONS, headers={"If-None-Match": '"other"'}).status_code == 200


def test_answers_are_private_and_vary_by_who_asks(client: httpx.Client) -> None:
    headers = client.post("/search", json=MOONS).headers
    assert (headers["cache-control"], headers["vary"]) == ("private, no-cache", "Authorization")


def test_a_caller_who_names_the_version_it_has_seen_is_served_at_least_that(client: httpx.Client) -> None:
    version = client.post("/search", json=MOONS).json()["version"]
    answer = client.post("/search", json=MOONS | {"minimum_version": version})
    assert "hit" in status_of(answer)
    assert answer.json()["version"] == version


def test_a_hundred_identical_cold_requests_are_one_embedding_and_one_store_query(client: httpx.Client) -> None:
    before = _stages(client)
    with ThreadPoolExecutor(100) as callers:
        together = Barrier(100)

        def ask(_: int) -> httpx.Response:
            together.wait(30)
            return httpx.post(client.base_url.join("/search"), json=MOONS, timeout=60)

        answers = list(callers.map(ask, range(100)))
    assert len({answer.content for answer in answers}) == 1
    assert {answer.status_code for answer in answers} == {200}
    assert sum("fwd=miss; stored" in status_of(answer) for answer in answers) == 1
    after = _stages(client)
    assert [after[stage] - before[stage] for stage in ("embed", "vector", "keyword")] == [1, 1, 1]


def test_batches_and_contexts_use_the_cache(client: httpx.Client) -> None:
    single = client.post("/search", json=MOONS).json()
    before = _lookups(client)["hits"]
    batch = client.post("/search/batch", json={"queries": [MOONS, {"limit": 0}]}).json()["results"]
    context = client.post("/search/context", json=MOONS).json()
    asked = client.post("/faq/search/batch", json={"queries": [PASSWORD]}).json()["results"]
    assert (batch[0], batch[1]["status"]) == (single, 422)
    assert "Saturn" in context["context"]
    assert asked[0]["answers"][0]["id"] == "reset"
    assert _lookups(client)["hits"] == before + 2


def test_deleting_by_kind_and_collection_counts_first_and_then_holds(client: httpx.Client) -> None:
    client.post("/search", json=MOONS)
    client.post("/faq/search", json=PASSWORD)
    assert client.delete("/performance/cache", params={"dry_run": True}).json()["entries"] == 4
    planets = {"kind": "result", "collection": "planets"}
    assert client.delete("/performance/cache", params=planets).json() == {
        "kind": "result",
        "entries": 1,
        "dry_run": False,
    }
    assert "fwd=miss" in status_of(client.post("/search", json=MOONS))
    assert "hit" in status_of(client.post("/faq/search", json=PASSWORD))


@pytest.mark.parametrize("user", ["ann", "ann@x.org", "Ann Smith", "a/b", "Zoë", "100%"])
def test_deleting_what_was_computed_for_a_user(client: httpx.Client, user: str) -> None:
    path = f"/performance/cache/{quote(user, safe='')}"
    client.post("/search", json=MOONS, headers=[(b"X-User-ID", user.encode())])
    client.post("/faq/search", json=PASSWORD)
    assert client.delete("/performance/cache/bob").json()["entries"] == 0
    assert "hit" in status_of(client.post("/search", json=MOONS))
    assert client.delete(path, params={"dry_run": True}).json()["entries"] == 1
    assert client.delete(path).json()["entries"] == 1
    assert "fwd=miss" in status_of(client.post("/search", json=MOONS))
    assert "hit" in status_of(client.post("/faq/search", json=PASSWORD))


@pytest.mark.parametrize(
    "parameters",
    [
        "?kind=everything",
        "?kind=embedding&collection=planets",
        "?collection=No!",
        "?dryrun=true",
        "?dry_run=true&dry_run=false",
        "/",
        "/ann?kind=result",
    ],
)
def test_a_deletion_that_means_nothing_is_refused(client: httpx.Client, parameters: str) -> None:
    client.post("/search", json=MOONS)
    assert client.delete(f"/performance/cache{parameters}").status_code == 422
    assert "hit" in status_of(client.post("/search", json=MOONS))


@pytest.mark.parametrize("way", ["direct", "in pieces"])
def test_header_lines_of_one_name_are_one_value(client: httpx.Client, way: str) -> None:
    body = json.dumps(MOONS).encode()
    lines = [("Cache-Control", "max-age=60"), ("Cache-Control", "no-store"), ("Content-Type", "application/json")]
    content = body if way == "direct" else iter([body])
    assert "stored" not in status_of(client.post("/search", content=content, headers=lines))


def test_warming_makes_hits(client: httpx.Client) -> None:
    queries = [MOONS, "no such collection is asked for", MOONS | {"limit": 2}]
    assert client.post("/performance/cache/warm", json={"queries": queries}).json() == {
        "warmed": 2,
        "failed": 1,
        "skipped": 0,
    }
    assert "hit" in status_of(client.post("/search", json=MOONS))
    refused = client.post("/performance/cache/warm", json={"queries": [{"limit": 3}]})
    assert refused.json()["errors"][0]["pointer"] == "/queries/0"


@pytest.mark.parametrize("path", ["/performance/cache-stats", "/api/cache/metrics", "/api/stats/cache"])
def test_the_account_of_the_caches_has_three_addresses(client: httpx.Client, path: str) -> None:
    for _ in range(2):
        client.post("/search", json=MOONS)
    account = client.get(path).json()
    memory = account["caches"]["result"]["memory"]
    assert account["enabled"]
    assert (memory["entries"], memory["bytes"] > 100, 0 < memory["hit_rate"] < 1) == (1, True, True)
    assert account["saved"]["embeddings"] > 0
    assert account["saved"]["dollars"] > 0


def test_performance_tells_times_and_hit_rates(client: httpx.Client) -> None:
    client.post("/search", json=MOONS)
    stats = client.get("/performance/stats").json()
    assert stats["routes"]["/search"]["count"] > 0
    assert stats["stages"]["embed"]["p50_ms"] <= stats["stages"]["embed"]["p99_ms"]
    assert 0 <= stats["hit_rates"]["result"] <= 1


def test_metrics_count_hits_and_savings(client: httpx.Client) -> None:
    for _ in range(2):
        client.post("/faq/search", json=PASSWORD)
    text = client.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    for name in (
        'retrieval_cache_requests_total{cache="result",outcome="hit",tier="memory"}',
        'retrieval_cache_requests_total{cache="embedding",outcome="miss",tier="memory"}',
        'faq_cache_hits_total{cache_type="result"}',
        'faq_cache_misses_total{cache_type="embedding"}',
        'retrieval_saved_total{what="store"}',
        'retrieval_saved_dollars_total{what="embedding"}',
        'retrieval_cache_entries{cache="result"}',
        'retrieval_cache_bytes{cache="embedding"}',
        'faq_retrieval_latency_seconds_count{cache="hit"}',
    ):
        assert float(values[name]) > 0, name
    assert 'retrieval_cache_evictions_total{cache="result"}' in values


def test_switched_off_every_answer_is_computed() -> None:
    with running_service(cache_enabled="false") as service, httpx.Client(base_url=service.url, timeout=60) as client:
        client.post("/collections/planets/documents", json=PLANETS)
        assert [status_of(client.post("/search", json=MOONS)) for _ in range(2)] == ["results; fwd=bypass"] * 2
        assert client.get("/health").json()["caches"] == "off"
        assert client.get("/performance/cache-stats").json()["enabled"] is False
        assert client.delete("/performance/cache").status_code == 404


def test_a_deletion_that_redis_cannot_be_told_of_holds_here_and_is_not_acknowledged() -> None:
    with (
        redis_server() as redis,
        running_service(redis_url=redis.url, redis_budget_ms=ROOMY_MS) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        client.post("/collections/planets/documents", json=PLANETS)
        client.post("/search", json=MOONS)
        redis.kill()
        assert client.delete("/performance/cache").status_code == 503
        assert "fwd=miss" in status_of(client.post("/search", json=MOONS))


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/search", MOONS, {}),
        ("/search", MOONS | {"limit": 0}, {}),
        ("/search", MOONS | {"collection": "nowhere"}, {}),
        ("/search", MOONS | {"filters": {"nothing": 1}}, {}),
        ("/search", MOONS | {"mode": "keyword", "minimum_vector_score": 0.5}, {}),
        ("/search", PASSWORD, {}),
        ("/search", MOONS, {"Cache-Control": "only-if-cached"}),
        ("/search", MOONS, {"Cache-Control": "max-age=x"}),
        ("/search", {"unknown": 1}, {}),
        ("/faq/search", PASSWORD, {}),
        ("/faq/search", PASSWORD | {"limit": 51}, {}),
        ("/faq/search", MOONS, {}),
    ],
)
def test_a_body_in_pieces_is_answered_as_one_in_one_piece(
    client: httpx.Client, path: str, body: dict[str, Any], headers: dict[str, str]
) -> None:
    """Short bodies take a direct way, others that of the framework: nobody can tell which from the answer."""

    def seen(response: httpx.Response) -> tuple[object, ...]:
        kept = {name: value for name, value in response.headers.items() if name not in OWN_TO_EACH}
        content = {key: value for key, value in response.json().items() if key != "request_id"}
        return response.status_code, kept, content

    whole = client.post(path, json=body, headers=headers)
    client.delete("/performance/cache")
    encoded = json.dumps(body).encode()
    pieces = client.post(
        path, content=iter([encoded[:5], encoded[5:]]), headers=headers | {"Content-Type": "application/json"}
    )
    assert seen(whole) == seen(pieces)


def test_a_new_process_begins_with_the_hottest_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("data")
    with running_service(data) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        client.post("/collections/planets/documents", json=PLANETS)
        for _ in range(5):
            client.post("/search", json=MOONS)
        client.post("/search", json=MOONS | {"query": "asked once, and kept nowhere"})
    assert b"asked once" not in (data / "hot").read_bytes()
    with running_service(data) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        assert "hit" in status_of(client.post("/search", json=MOONS))


def _stages(client: httpx.Client) -> dict[str, int]:
    stages = client.get("/performance/stats").json()["stages"]
    return {stage: stages.get(stage, {"count": 0})["count"] for stage in ("embed", "vector", "keyword")}


def _lookups(client: httpx.Client) -> dict[str, int]:
    found: dict[str, int] = client.get("/performance/cache-stats").json()["caches"]["result"]["memory"]
    return found


@pytest.mark.parametrize("path", ["/collections", "/collections/planets", "/collections/planets/documents/mars"])
def test_what_is_no_search_is_kept_by_nobody(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.is_success
    assert set(answer.headers["cache-control"].split(", ")) == {"private", "no-store"}
