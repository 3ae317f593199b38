"""What a caller does wrong is answered with a 4xx that says what to do."""

import json
from typing import Any

import httpx
import pytest

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def nested(depth: int) -> dict[str, Any]:
    return {"any_of": [nested(depth - 1)]} if depth > 1 else {"kind": "rocky"}


def search(**changes: Any) -> dict[str, Any]:
    return {"query": "red planet", "collection": "planets", **changes}


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 422, ""),
        (search(query=""), 422, "/query"),
        (search(query="   \n "), 422, "/query"),
        (search(query="x" * 5000), 422, "/query"),
        (search(query=7), 422, "/query"),
        (search(limit=0), 422, "/limit"),
        (search(limit=51), 422, "/limit"),
        (search(limit="ten"), 422, "/limit"),
        (search(limit=10**30), 422, "/limit"),
        (search(alpha=2), 422, "/alpha"),
        (search(alpha=-0.1), 422, "/alpha"),
        (search(mode="magic"), 422, "/mode"),
        (search(fusion="cold"), 422, "/fusion"),
        (search(colection="planets"), 422, ""),
        (search(explanation=True), 422, ""),
        (search(minimum_version=7), 422, "/minimum_version"),
        (search(mode="keyword", minimum_vector_score=0.5), 422, "/minimum_vector_score"),
        (search(collection="Bad-Name"), 422, "/collection"),
        (search(collection="a" * 64), 422, "/collection"),
        (search(collection="nowhere"), 404, None),
        (search(collection="help"), 409, None),
        (search(filters={"colour": "red"}), 422, "/filters/colour"),
        (search(filters={"moons": "two"}), 422, "/filters/moons"),
        (search(filters={"kind": 3}), 422, "/filters/kind"),
        (search(filters={"discovered": {"gte": "yesterday"}}), 422, "/filters/discovered/gte"),
        (search(filters={"kind": {"like": "r%"}}), 422, "/filters/kind/like"),
        (search(filters={"kind": {"contains": "x"}}), 422, "/filters/kind/contains"),
        (search(filters=[]), 422, "/filters"),
        (search(filters={"any_of": {"kind": "rocky"}}), 422, "/filters/any_of"),
        (search(filters=nested(5)), 422, "/filters/any_of/0/any_of/0/any_of/0/any_of/0"),
        (search(filters={"any_of": [{"moons": n} for n in range(33)]}), 422, None),
        (search(filters={"kind": [str(n) for n in range(1001)]}), 422, None),
    ],
)
def test_a_search_that_cannot_be_used_is_refused_whole(
    client: httpx.Client,
    body: dict[str, Any],
    status: int,
    pointer: str | None,
) -> None:
    answer = client.post("/search", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["request_id"] == answer.headers["x-request-id"]
    if pointer is not None:
        assert pointer in [error["pointer"] for error in problem["errors"]], problem


def test_an_unknown_key_is_named(client: httpx.Client) -> None:
    assert "colection" in client.post("/search", json=search(colection="x")).json()["detail"]


def test_an_unknown_collection_is_answered_with_the_existing_ones(client: httpx.Client) -> None:
    detail = client.post("/search", json=search(collection="nowhere")).json()["detail"]
    assert "help" in detail
    assert "planets" in detail


def test_an_undeclared_field_is_answered_with_the_declared_ones(client: httpx.Client) -> None:
    detail = client.post("/search", json=search(filters={"colour": "red"})).json()["detail"]
    assert "kind" in detail
    assert "moons" in detail


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b"{", 400),
        (b'{"query": "x", "alpha": NaN}', 400),
        (b'{"query": "\xff\xfe"}', 400),
        (b'{"query": "\\ud800"}', 400),
        (b'{"query": "x", "filters": ' + b'{"any_of": [' * 100_000, 400),
        (b"[" * 100_000, 400),
        (b'{"query": "' + b"x" * 50_000_000 + b'"}', 413),
    ],
    ids=["empty", "null", "array", "half", "nan", "utf8", "surrogate", "deep object", "deep array", "50 MB"],
)
def test_a_body_that_cannot_be_read_is_refused(client: httpx.Client, content: bytes, status: int) -> None:
    answer = client.post("/search", content=content, headers=JSON)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["\x00", "a\x01b\x1f", "\u202ereversed", "\U000e0001", "a\u0300" * 500, "\ufffe"])
def test_control_characters_in_a_query_are_answered(client: httpx.Client, query: str) -> None:
    for mode in ("hybrid", "vector", "keyword"):
        assert client.post("/search", json=search(query=f"x{query}", mode=mode)).status_code == 200


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "q=",
        "q=x&limit=0",
        "q=x&alpha=2",
        "q=x&nonsense=1",
        "q=x&filters=[",
        "q=x&filters=[]",
        "q=x&mode=magic",
        "q=%ff%fe&limit=x",
    ],
)
def test_parameters_that_cannot_be_used_are_refused(client: httpx.Client, parameters: str) -> None:
    answer = client.get(f"/search?collection=planets&{parameters}")
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"query": "x", "collection": "planets"}, 409),
        ({"query": "x", "collection": "help", "limit": 0}, 422),
        ({"query": "x", "collection": "help", "minimum_score": 7}, 422),
        ({"query": " ", "collection": "help"}, 422),
        ({"query": "x", "collection": "help", "mode": "hybrid"}, 422),
    ],
)
def test_a_faq_search_that_cannot_be_used_is_refused(client: httpx.Client, body: dict[str, Any], status: int) -> None:
    assert client.post("/faq/search", json=body).status_code == status


def test_a_batch_beyond_its_size_is_refused_whole(client: httpx.Client) -> None:
    assert client.post("/search/batch", json={"queries": [search()] * 51}).status_code == 422
    assert client.post("/faq/search/batch", json={"queries": [{"query": "x"}] * 51}).status_code == 422
    assert client.post("/search/batch", json={"queries": []}).status_code == 422


@pytest.mark.parametrize("path", ["/search/batch", "/faq/search/batch"])
def test_a_query_that_is_no_object_fails_alone_in_its_place(client: httpx.Client, path: str) -> None:
    collection = "help" if "faq" in path else "planets"
    good = {"query": "x", "collection": collection}
    answer = client.post(path, json={"queries": [good, None, 7, "text", good]})
    assert answer.status_code == 200, answer.text
    assert [result.get("status") for result in answer.json()["results"]] == [None, 422, 422, 422, None]


@pytest.mark.parametrize("score", ["nan", "inf", "-1.5", "2"])
def test_a_minimum_score_that_no_hit_could_have_is_refused(client: httpx.Client, score: str) -> None:
    answer = client.get(f"/search?collection=planets&q=x&minimum_vector_score={score}")
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("planets", {"fields": {"moons": "keyword"}}, 409),
        ("planets", {"kind": "faq"}, 409),
        ("planets", {"fields": {"title": "keyword"}}, 422),
        ("planets", {"fields": {"Upper": "keyword"}}, 422),
        ("planets", {"fields": {"x": "text"}}, 422),
        ("9planets", {}, 422),
        ("planets", {"kinds": "faq"}, 422),
    ],
)
def test_a_collection_that_cannot_be_is_refused(client: httpx.Client, name: str, body: Any, status: int) -> None:
    assert client.put(f"/collections/{name}", json=body).status_code == status


def test_documents_and_entries_do_not_mix(client: httpx.Client) -> None:
    document, entry = {"text": "x"}, {"question": "x", "answer": "y"}
    assert client.post("/collections/help/documents", json=document).status_code == 409
    assert client.post("/collections/planets/entries", json=entry).status_code == 409
    assert client.get("/collections/planets/entries").status_code == 409


def test_what_does_not_exist_is_a_404(client: httpx.Client) -> None:
    for method, path in [
        ("GET", "/collections/nowhere"),
        ("DELETE", "/collections/nowhere"),
        ("GET", "/collections/nowhere/documents"),
        ("GET", "/collections/planets/documents/pluto"),
        ("DELETE", "/collections/planets/documents/pluto"),
        ("GET", "/no/such/route"),
    ]:
        answer = client.request(method, path)
        assert answer.status_code == 404, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_wrong_method_is_a_405(client: httpx.Client) -> None:
    answer = client.put("/search", json={})
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"


def test_deleting_by_filter_needs_a_filter(client: httpx.Client) -> None:
    for body in list[Any]([{"filters": {}}, {}, {"filters": {"colour": "red"}}]):
        assert client.post("/collections/planets/documents/delete", json=body).status_code == 422


def test_a_cursor_that_is_none_is_refused(client: httpx.Client) -> None:
    assert client.get("/collections/planets/documents?cursor=!!").status_code == 422
    assert client.get("/collections/planets/documents?limit=0").status_code == 422


@pytest.mark.parametrize(
    "document",
    [
        {"id": "d", "text": ""},
        {"id": "d", "text": " \n\t "},
        {"id": "d"},
        {"id": "d", "text": "a\x00b"},
        {"id": "", "text": "x"},
        {"id": "x" * 513, "text": "x"},
        {"id": "a\nb", "text": "x"},
        {"id": 7, "text": "x"},
        {"id": "d", "text": "x", "metadata": {"moons": "two"}},
        {"id": "d", "text": "x", "metadata": {"moons": 2.5}},
        {"id": "d", "text": "x", "metadata": {"names": "Mars"}},
        {"id": "d", "text": "x", "metadata": {"names": [1]}},
        {"id": "d", "text": "x", "metadata": {"discovered": "soon"}},
        {"id": "d", "text": "x", "metadata": {"deep": {"a": 1}}},
        {"id": "d", "text": "x", "metadata": {"Bad Name": 1}},
        {"id": "d", "text": "x", "metadata": {"title": "reserved"}},
        {"id": "d", "text": "x", "metadata": {"moons": 2**70}},
        {"id": "d", "text": "x", "metadata": []},
        {"id": "d", "text": "x", "colour": "red"},
        7,
        None,
        "text",
    ],
    ids=lambda document: json.dumps(document)[:60],
)
def test_a_document_that_cannot_be_taken_fails_alone(client: httpx.Client, document: Any) -> None:
    good = {"id": "good", "text": "a good neighbour"}
    client.put("/collections/mixed", json={"fields": {"moons": "integer", "names": "keyword[]", "discovered": "date"}})
    answer = client.post("/collections/mixed/documents", json=[good, document])
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["received"], report["failures"]) == (2, 1)
    assert report["failed"][0]["line"] == 2
    assert report["failed"][0]["error"]
    alone = client.post("/collections/planets/documents", json=[document])
    assert alone.status_code == 422, alone.text
    assert alone.headers["content-type"] == "application/problem+json"


def test_a_line_that_is_not_json_fails_alone(client: httpx.Client) -> None:
    lines = b'{"id": "one", "text": "first"}\n{"id": \n{"id": "\xff", "text": "x"}\n{"id": "two", "text": "second"}\n'
    answer = client.post("/collections/lines/documents", content=lines, headers=NDJSON)
    assert answer.status_code == 200
    assert [failed["line"] for failed in answer.json()["failed"]] == [2, 3]
    assert answer.json()["created"] == 2


def test_a_document_nested_too_deeply_fails_alone(client: httpx.Client) -> None:
    lines = b'{"id": "one", "text": "first"}\n{"metadata": ' + b'{"a":' * 100_000 + b"\n"
    answer = client.post("/collections/deep/documents", content=lines, headers=NDJSON)
    assert (answer.status_code, answer.json()["failures"]) == (200, 1)


def test_files_that_cannot_be_parsed_are_refused(client: httpx.Client) -> None:
    for name, content in [
        ("broken.pdf", b"%PDF-1.7 nothing else"),
        ("broken.docx", b"PK\x03\x04 nothing else"),
        ("latin.txt", "caf\xe9".encode("latin-1")),
        ("empty.md", b""),
        ("program.exe", b"MZ"),
    ]:
        answer = client.post("/collections/files/files", files={"file": (name, content)})
        assert answer.status_code in {415, 422}, (name, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
