"""What a caller of /collections sees: importing, listing, reading, deleting."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def shelf(client: httpx.Client) -> Iterator[str]:
    yield "shelf"
    client.delete("/collections/shelf")


def as_lines(*documents: Mapping[str, object]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def counts(report: dict[str, object]) -> dict[str, object]:
    names = ("received", "created", "updated", "unchanged", "superseded", "failures")
    return {name: report[name] for name in names if report[name]}


def test_the_same_again_is_unchanged_and_a_change_is_an_update(client: httpx.Client, shelf: str) -> None:
    documents: list[dict[str, Any]] = [
        {"id": "a", "text": "first text"},
        {"id": "b", "text": "second text", "metadata": {"n": 1}},
    ]
    first = client.post(f"/collections/{shelf}/documents", json=documents).json()
    assert counts(first) == {"received": 2, "created": 2}
    assert first["passages"] == 2
    again = client.post(f"/collections/{shelf}/documents", json=documents).json()
    assert counts(again) == {"received": 2, "unchanged": 2}
    assert again["version"] == first["version"]
    changed = client.post(f"/collections/{shelf}/documents", json=documents[1] | {"metadata": {"n": 2}}).json()
    assert counts(changed) == {"received": 1, "updated": 1}
    assert changed["version"] != first["version"]


def test_the_last_of_equal_ids_wins(client: httpx.Client, shelf: str) -> None:
    documents = [{"id": "a", "text": f"text number {n}"} for n in range(300)]
    report = client.post(f"/collections/{shelf}/documents", content=as_lines(*documents), headers=NDJSON).json()
    assert counts(report) == {"received": 300, "created": 1, "superseded": 299}
    assert client.get(f"/collections/{shelf}/documents/a").json()["text"] == "text number 299"


def test_a_line_follows_each_acknowledged_batch(client: httpx.Client, shelf: str) -> None:
    documents = [{"id": str(n), "text": f"text number {n}"} for n in range(150)]
    headers = NDJSON | {"Accept": "application/x-ndjson"}
    answer = client.post(f"/collections/{shelf}/documents", content=as_lines(*documents), headers=headers)
    reports = [json.loads(line) for line in answer.text.splitlines()]
    assert len(reports) > 1
    received = [report["received"] for report in reports]
    assert received == sorted(received)
    assert counts(reports[-1]) == {"received": 150, "created": 150}


def test_an_id_is_derived_from_title_and_text(client: httpx.Client, shelf: str) -> None:
    for expected in ({"received": 1, "created": 1}, {"received": 1, "unchanged": 1}):
        report = client.post(f"/collections/{shelf}/documents", json={"title": "t", "text": "no id"}).json()
        assert counts(report) == expected


def test_fields_are_inferred_and_described(client: httpx.Client, shelf: str) -> None:
    metadata = {"word": "x", "whole": 1, "part": 0.5, "flag": True, "words": ["a"], "day": "2020-01-01", "none": None}
    client.post(f"/collections/{shelf}/documents", json={"id": "a", "text": "text", "metadata": metadata})
    described = client.get(f"/collections/{shelf}").json()
    assert described["fields"] == {
        "word": "keyword",
        "whole": "integer",
        "part": "number",
        "flag": "boolean",
        "words": "keyword[]",
        "day": "keyword",
    }
    assert (described["kind"], described["documents"], described["passages"]) == ("documents", 1, 1)
    assert "all-MiniLM-L6-v2" in described["embedding_model"]
    assert described["bytes"] > 0
    assert shelf in [entry["name"] for entry in client.get("/collections").json()["collections"]]


def test_a_collection_is_created_once_and_takes_more_fields(client: httpx.Client, shelf: str) -> None:
    first = client.put(f"/collections/{shelf}", json={"fields": {"n": "integer"}})
    again = client.put(f"/collections/{shelf}", json={"fields": {"d": "date"}, "cache": "policy"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["fields"] == {"n": "integer", "d": "date"}
    assert again.json()["cache"] == "policy"


@pytest.mark.parametrize("name", ["plain", "a/b/c", "50% off?", "émile #1", "delete", "..", "x" * 512, "//", "q?a=b&c"])
def test_any_printable_id_can_be_read_and_deleted(client: httpx.Client, shelf: str, name: str) -> None:
    assert client.post(f"/collections/{shelf}/documents", json={"id": name, "text": "text"}).status_code == 200
    path = f"/collections/{shelf}/documents/{quote(name, safe='')}"
    if name == "..":
        path = path.removesuffix("..") + "%2E%2E"
    assert client.get(path).json()["id"] == name
    assert client.delete(path).json()["deleted"] == 1
    assert client.get(path).status_code == 404


def test_listing_goes_on_where_the_cursor_says(client: httpx.Client, shelf: str) -> None:
    documents = [{"id": f"d{n:03}", "text": f"text {n}", "metadata": {"n": n}} for n in range(25)]
    client.post(f"/collections/{shelf}/documents", json=documents)
    seen: list[str] = []
    cursor = None
    while True:
        parameters = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/collections/{shelf}/documents", params=parameters).json()
        seen += [document["id"] for document in page["documents"]]
        assert page["documents"][0].keys() == {"id", "title", "metadata", "updated_at"}
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [document["id"] for document in documents]


def test_deleting_by_filter_deletes_what_meets_it(client: httpx.Client, shelf: str) -> None:
    documents = [{"id": f"d{n}", "text": f"text {n}", "metadata": {"n": n}} for n in range(10)]
    version = client.post(f"/collections/{shelf}/documents", json=documents).json()["version"]
    answer = client.post(f"/collections/{shelf}/documents/delete", json={"filters": {"n": {"gte": 4}}}).json()
    assert answer["deleted"] == 6
    assert answer["version"] != version
    left = client.get(f"/collections/{shelf}/documents").json()["documents"]
    assert [document["id"] for document in left] == ["d0", "d1", "d2", "d3"]
    hits = client.post("/search", json={"query": "text", "collection": shelf}).json()["hits"]
    assert {hit["document_id"] for hit in hits} == {"d0", "d1", "d2", "d3"}


def test_a_deleted_collection_is_gone_and_its_name_free(client: httpx.Client, shelf: str) -> None:
    client.post(f"/collections/{shelf}/documents", json={"id": "old", "text": "text"})
    assert client.delete(f"/collections/{shelf}").status_code == 204
    assert client.get(f"/collections/{shelf}").status_code == 404
    report = client.post(f"/collections/{shelf}/entries", json={"id": "e", "question": "q?", "answer": "a"}).json()
    assert counts(report) == {"received": 1, "created": 1}


def test_entries_are_listed_read_and_deleted(client: httpx.Client, shelf: str) -> None:
    entry = {"id": "e", "question": "Who?", "variants": ["Which person?"], "answer": "Me.", "metadata": {"topic": "x"}}
    client.post(f"/collections/{shelf}/entries", json=entry)
    stored = client.get(f"/collections/{shelf}/entries/e").json()
    assert stored | {"updated_at": ""} == entry | {"updated_at": ""}
    assert client.get(f"/collections/{shelf}").json()["passages"] == 2
    listed = client.get(f"/collections/{shelf}/entries").json()["entries"]
    assert listed[0].keys() == {"id", "question", "metadata", "updated_at"}
    assert client.delete(f"/collections/{shelf}/entries/e").json()["deleted"] == 1


def test_a_file_becomes_a_document(client: httpx.Client, shelf: str) -> None:
    content = b"# Gardens\n\nHow gardens grow.\n\n## Water\n\nRoses need water every day in summer.\n"
    report = client.post(f"/collections/{shelf}/files", files={"file": ("garden.md", content)}).json()
    assert counts(report) == {"received": 1, "created": 1}
    document = client.get(f"/collections/{shelf}/documents/garden.md").json()
    assert document["title"] == "Gardens"
    client.post(f"/collections/{shelf}/files", files={"file": ("garden.md", content)}, data={"id": "a/b"})
    assert client.get(f"/collections/{shelf}/documents/a%2Fb").status_code == 200


def test_a_search_sees_a_write_as_soon_as_it_is_acknowledged(client: httpx.Client, shelf: str) -> None:
    for number in range(20):
        client.post(f"/collections/{shelf}/documents", json={"id": "one", "text": f"state number {number}"})
        hits = client.post("/search", json={"query": "state number", "collection": shelf}).json()["hits"]
        assert [hit["text"] for hit in hits] == [f"state number {number}"]
