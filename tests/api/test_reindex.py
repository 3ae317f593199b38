"""Reindexing over HTTP: with real models, while it is searched and written, and across a crash."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.tools.models import compile_deaf, compile_prefixed
from tests.tools.reindexing import reindex_under_load, text_of
from tests.tools.running import Running, running_service

WORDS = ["apple", "river", "engine", "music", "castle", "planet", "bread", "law", "virus", "paint", "snow", "horse"]
LONGEST_WAIT_SECONDS = 60


def documents(count: int, sentence: str = "It is described here.") -> list[dict[str, Any]]:
    return [
        {
            "id": f"d{number}",
            "title": f"{WORDS[number % 12]} {number}",
            "text": f"Number {number} is about {WORDS[number % 12]} and {WORDS[number // 12 % 12]}. {sentence * 20}",
            "metadata": {"number": number},
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def reindexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("data")
    compile_prefixed(directory, "prefixed")
    compile_deaf(directory, "deaf")
    with running_service(directory) as running:
        yield running


@pytest.fixture(scope="module")
def client(reindexed: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=reindexed.url, timeout=60) as opened:
        yield opened


def reached(client: httpx.Client, name: str, *states: str) -> dict[str, Any]:
    """Return the collection's description once its reindex is in one of these states."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.get(f"/collections/{name}").json()
        if found["reindex"] and found["reindex"]["state"] in states:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def listed(client: httpx.Client, name: str) -> set[str]:
    answer = client.get(f"/collections/{name}/documents", params={"limit": 1000}).json()
    return {one["id"] for one in answer["documents"]}


def test_shorter_passages_take_over_and_a_rollback_brings_the_long_ones_back(client: httpx.Client) -> None:
    client.post("/collections/lengths/documents", json=documents(40))
    before = client.get("/collections/lengths").json()
    assert before["reindex"] is None
    begun = client.post("/collections/lengths/reindex", json={"passage_tokens": 48, "force": True})
    assert begun.status_code == 202
    assert begun.json()["reindex"]["state"] == "building"
    after = reached(client, "lengths", "switched")
    assert (after["generation"], after["passage_tokens"]) == (2, 48)
    assert after["passages"] > before["passages"]
    assert after["version"] != before["version"]
    asked = {"query": "castle", "collection": "lengths", "limit": 3}
    short = client.post("/search", json=asked).json()["hits"][0]["text"]
    assert client.post("/collections/lengths/documents", json=documents(40)).json()["unchanged"] == 40
    assert client.post("/collections/lengths/documents", json=documents(41)).json()["created"] == 1
    back = client.post("/collections/lengths/rollback").json()
    assert (back["generation"], back["documents"]) == (1, 41)
    assert len(client.post("/search", json=asked).json()["hits"][0]["text"]) > len(short)
    assert client.get("/collections/lengths/documents/d40").status_code == 200


def test_another_model_takes_over_and_is_searched_with_its_own_vectors(client: httpx.Client) -> None:
    client.post("/collections/models/documents", json=documents(30))
    client.post("/collections/models/reindex", json={"model": "prefixed"})
    after = reached(client, "models", "switched")
    assert after["embedding_model"].startswith("prefixed:")
    assert after["reindex"]["overlap"] >= 0.5
    assert after["reindex"]["queries"] > 0
    exact = {"query": documents(30)[7]["text"], "collection": "models", "mode": "vector", "limit": 1}
    (hit,) = client.post("/search", json=exact).json()["hits"]
    assert hit["document_id"] == "d7"
    context = client.post("/search/context", json={"query": "castle", "collection": "models"})
    assert context.status_code == 200


def test_answers_that_differ_too_much_wait_until_they_are_forced(client: httpx.Client) -> None:
    client.post("/collections/waiting/documents", json=documents(60))
    client.post("/collections/waiting/reindex", json={"model": "deaf"})
    waiting = reached(client, "waiting", "waiting")
    assert waiting["generation"] == 1
    assert waiting["reindex"]["overlap"] < 0.5
    assert "force" in waiting["reindex"]["detail"]
    refused = client.post("/collections/waiting/reindex", json={"model": "deaf"})
    assert refused.status_code == 409
    forced = client.post("/collections/waiting/reindex", json={"force": True})
    assert forced.status_code == 202
    assert (forced.json()["generation"], forced.json()["reindex"]["state"]) == (2, "switched")
    dropped = client.delete("/collections/waiting/reindex").json()
    assert dropped["reindex"] is None
    assert client.post("/collections/waiting/rollback").status_code == 409


def test_entries_are_found_by_their_variants_with_the_next_model(client: httpx.Client) -> None:
    entry = {"id": "reset", "question": "How do I reset my password?", "variants": ["login lost"], "answer": "So."}
    client.post("/collections/questions/entries", json=[entry])
    client.post("/collections/questions/reindex", json={"model": "prefixed"})
    reached(client, "questions", "switched")
    asked = {"query": "login lost", "collection": "questions", "minimum_score": 0}
    (answer,) = client.post("/faq/search", json=asked).json()["answers"]
    assert (answer["id"], answer["matched_question"]) == ("reset", "login lost")


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("reindex", {"model": "../../etc"}, 422, "there are: all-MiniLM-L6-v2, deaf, prefixed"),
        ("reindex", {"passage_tokens": 31}, 422, "32 to 256"),
        ("reindex", {"passage_tokens": -1}, 422, "32 to 256"),
        ("reindex", {"passages": 5}, 422, "passages"),
        ("rollback", None, 409, "no kept generation"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    client: httpx.Client, path: str, body: object, status: int, words: str
) -> None:
    client.post("/collections/refused/documents", json=documents(1))
    answer = client.post(f"/collections/refused/{path}", json=body)
    assert answer.status_code == status
    assert words in answer.text
    assert client.get("/collections/refused").json()["reindex"] is None
    assert client.post(f"/collections/absent/{path}", json={}).status_code == 404


@pytest.mark.anyio
async def test_a_switch_and_a_rollback_under_load_fail_no_request_and_show_nothing_old(reindexed: Running) -> None:
    async with httpx.AsyncClient(base_url=reindexed.url, timeout=60) as client:
        loaded = [{"id": f"d{number}", "text": text_of(number)} for number in range(30)]
        await client.post("/collections/load/documents", json=loaded)
    seen = await reindex_under_load(reindexed.url, "load", "prefixed", searches=20, writes=3)
    assert seen.searches > 50
    assert seen.writes > 5
    assert seen.first_error == ""
    assert (seen.errors, seen.old_after_switch, seen.old_after_rollback) == (0, 0, 0)
    assert (seen.lost_at_switch, seen.lost_at_rollback) == (0, 0)


def test_a_process_killed_while_building_is_followed_by_one_that_goes_on(tmp_path: Path) -> None:
    compile_prefixed(tmp_path, "prefixed")
    with running_service(tmp_path) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        client.post("/collections/things/documents", json=documents(200))
        client.post("/collections/things/reindex", json={"model": "prefixed"})
        assert client.post("/collections/things/documents", json=documents(201)).status_code == 200
        assert client.get("/collections/things").json()["reindex"]["state"] == "building"
        os.kill(running.process.pid, signal.SIGKILL)
    with running_service(tmp_path) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        after = reached(client, "things", "switched")
        assert (after["documents"], after["generation"]) == (201, 2)
        assert client.delete("/collections/things/documents/d3").status_code == 200
        assert client.post("/collections/things/rollback").json()["documents"] == 200
    with running_service(tmp_path) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        found = client.get("/collections/things").json()
        assert (found["generation"], found["reindex"]["generation"]) == (1, 2)
        assert len(listed(client, "things")) == 200
        client.delete("/collections/things/reindex")
    assert len([*(tmp_path / "collections").iterdir()]) == 1


def test_while_a_kept_generation_has_no_model_writes_say_so(tmp_path: Path) -> None:
    compile_prefixed(tmp_path, "prefixed")
    with running_service(tmp_path) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        client.post("/collections/things/documents", json=documents(10))
        client.post("/collections/things/reindex", json={"model": "prefixed"})
        reached(client, "things", "switched")
        client.post("/collections/things/rollback")
    (tmp_path / "models").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path.parent / f"{tmp_path.name}-models")
    with running_service(tmp_path) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        refused = client.post("/collections/things/documents", json={"id": "new", "text": "new"})
        assert refused.status_code == 503
        assert "DELETE /collections/things/reindex" in refused.json()["detail"]
        assert client.post("/search", json={"query": "apple", "collection": "things"}).status_code == 200
        assert client.delete("/collections/things/reindex").status_code == 200
        assert client.post("/collections/things/documents", json={"id": "new", "text": "new"}).status_code == 200


def test_writes_and_deletes_during_a_reindex_are_in_both_generations(client: httpx.Client, reindexed: Running) -> None:
    client.post("/collections/both/documents", json=documents(150))
    expected = {one["id"] for one in documents(150)}
    stopped = threading.Event()

    def write(lane: int) -> set[str]:
        """Write and delete documents of one's own; returns the ids that stay."""
        kept = set()
        with httpx.Client(base_url=reindexed.url, timeout=60) as own:
            for number in range(1000):
                if stopped.is_set():
                    break
                identifier = f"w{lane}-{number}"
                one = {"id": identifier, "text": f"written {number}", "metadata": {"number": 1000}}
                assert own.post("/collections/both/documents", json=one).status_code == 200
                if number % 3 == 0:
                    assert own.delete(f"/collections/both/documents/{identifier}").json()["deleted"] == 1
                else:
                    kept.add(identifier)
        return kept

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, lane) for lane in range(2)]
        client.post("/collections/both/reindex", json={"model": "prefixed", "force": True})
        client.post("/collections/both/documents/delete", json={"filters": {"number": {"lt": 20}}})
        reached(client, "both", "switched")
        time.sleep(0.3)
        client.post("/collections/both/rollback")
        time.sleep(0.3)
        stopped.set()
        expected |= set().union(*(writer.result() for writer in writers))
    expected -= {f"d{number}" for number in range(20)}
    assert listed(client, "both") == expected
    client.post("/collections/both/rollback")
    assert listed(client, "both") == expected
