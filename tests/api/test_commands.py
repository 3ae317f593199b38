"""The command line against a real service."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.tools.running import SHARED_DATA, Running

TEA = {"id": "tea", "title": "Tea", "text": "Green tea is steeped at 80 degrees.", "metadata": {"topic": "drinks"}}
IRON = {"id": "iron", "title": "Iron", "text": "Iron melts at 1538 degrees.", "metadata": {"topic": "metals"}}


def run(service: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", *arguments, "--url", service.url]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def described(service: Running, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{service.url}/collections/{name}", timeout=60).json()
    return answer


def write_lines(path: Path, *documents: object) -> Path:
    path.write_text(
        "".join(f"{document if isinstance(document, str) else json.dumps(document)}\n" for document in documents)
    )
    return path


def test_a_folder_is_imported_and_importing_it_again_changes_nothing(service: Running, tmp_path: Path) -> None:
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "tea.md").write_text("# Tea\n\nGreen tea is steeped at 80 degrees.\n")
    (tmp_path / "iron.txt").write_text("Iron melts at 1538 degrees.\n")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    first = run(service, "ingest", str(tmp_path), "--collection", "folder")
    assert first.returncode == 0, first.stderr
    assert "files of other kinds, skipped" in first.stdout
    before = described(service, "folder")
    assert before["documents"] == 2
    assert httpx.get(f"{service.url}/collections/folder/documents/guides/tea.md", timeout=60).json()["title"] == "Tea"
    assert run(service, "ingest", str(tmp_path), "--collection", "folder").returncode == 0
    assert described(service, "folder")["version"] == before["version"]


@pytest.mark.parametrize("is_compressed", [False, True])
def test_lines_that_fail_are_named_by_their_number_and_the_others_are_imported(
    service: Running, tmp_path: Path, *, is_compressed: bool
) -> None:
    name = f"lines_{is_compressed}".lower()
    path = write_lines(tmp_path / "x.jsonl", TEA, "", "no json", {"id": "empty", "text": ""}, IRON)
    if is_compressed:
        path = tmp_path / "x.jsonl.gz"
        path.write_bytes(gzip.compress((tmp_path / "x.jsonl").read_bytes()))
    imported = run(service, "ingest", str(path), "--collection", name)
    assert imported.returncode == 1
    assert f"{path}:3" in imported.stderr
    assert f"{path}:4 (empty)" in imported.stderr
    assert described(service, name)["documents"] == 2


def test_a_truncated_archive_counts_up_to_where_it_breaks(service: Running, tmp_path: Path) -> None:
    documents = [{"id": str(n), "text": f"Number {n * n * 7919} of many."} for n in range(400)]
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(msgspec.json.encode(document) + b"\n" for document in documents))[:-1500])
    imported = run(service, "ingest", str(path), "--collection", "truncated")
    assert imported.returncode == 1
    assert "cannot be read from here on" in imported.stderr
    kept = described(service, "truncated")["documents"]
    assert 0 < kept < 400
    assert f"{path}:{kept + 1}:" in imported.stderr


def test_where_no_line_succeeds_each_is_named(service: Running, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", "no json", {"id": "\u0000", "text": "x"})
    imported = run(service, "ingest", str(path), "--collection", "nothing")
    assert imported.returncode == 1
    assert f"{path}:1" in imported.stderr
    assert f"{path}:2" in imported.stderr


def test_of_one_id_in_a_file_the_last_line_wins(service: Running, tmp_path: Path) -> None:
    versions = [{"id": "same", "text": f"Version {n}."} for n in range(100)]
    imported = run(service, "ingest", str(write_lines(tmp_path / "x.jsonl", *versions)), "--collection", "last")
    assert imported.returncode == 0, imported.stderr
    assert httpx.get(f"{service.url}/collections/last/documents/same", timeout=60).json()["text"] == "Version 99."


def test_a_file_that_cannot_be_parsed_fails_alone(service: Running, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (tmp_path / "good.md").write_text("# Good\n\nText.\n")
    imported = run(service, "ingest", str(tmp_path), "--collection", "files")
    assert imported.returncode == 1
    assert "broken.pdf" in imported.stderr
    assert described(service, "files")["documents"] == 1


def test_csv_rows_become_documents_with_typed_metadata(service: Running, tmp_path: Path) -> None:
    fields = {"fields": {"price": "number", "added": "date"}}
    assert httpx.put(f"{service.url}/collections/shop", json=fields, timeout=60).status_code == 201
    path = tmp_path / "x.csv"
    path.write_text("id,text,price,added\n1,A teapot of iron,19.5,2024-05-01\n2,A cup,cheap,2024-06-01\n")
    imported = run(service, "ingest", str(path), "--collection", "shop")
    assert imported.returncode == 1
    assert f"{path}:3 (2)" in imported.stderr
    found = run(service, "search", "teapot", "--collection", "shop", "--filter", '{"price": {"lt": 20}}', "--json")
    assert [hit["document_id"] for hit in json.loads(found.stdout)["hits"]] == ["1"]


def test_a_csv_of_questions_becomes_a_faq(service: Running, tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    lines = (SHARED_DATA / "banking77-train.csv").read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[1:40], *lines[-40:]]) + "\n")
    mapping = ["--question", "text", "--answer", "category", "--group-by", "category"]
    imported = run(service, "ingest", str(path), "--collection", "bank", "--faq", *mapping)
    assert imported.returncode == 0, imported.stderr
    found = run(
        service, "search", "--faq", "-c", "bank", "my card has not come yet", "--minimum-score", "0.5", "--json"
    )
    assert json.loads(found.stdout)["answers"][0]["answer"] == "card_arrival"


def test_an_import_into_the_wrong_kind_of_collection_is_refused_with_the_reason(
    service: Running, client: httpx.Client, tmp_path: Path
) -> None:
    assert client.get("/collections/help").json()["kind"] == "faq"
    imported = run(service, "ingest", str(write_lines(tmp_path / "x.jsonl", TEA)), "--collection", "help")
    assert imported.returncode == 1
    assert "(409)" in imported.stderr
    assert "kind faq" in imported.stderr


@pytest.mark.usefixtures("client")
def test_a_search_prints_its_hits_and_their_time(service: Running) -> None:
    found = run(service, "search", "the red planet", "--collection", "planets", "--limit", "2")
    assert found.returncode == 0, found.stderr
    assert "Mars" in found.stdout
    assert "2 found in" in found.stdout
    assert "embed" in found.stdout


@pytest.mark.usefixtures("client")
def test_a_faq_search_prints_answers(service: Running) -> None:
    found = run(service, "search", "--faq", "-c", "help", "I forgot my password")
    assert "Use the link on the login page." in found.stdout


@pytest.mark.usefixtures("client")
def test_a_search_without_hits_says_so(service: Running) -> None:
    found = run(service, "search", "x", "--collection", "planets", "--filter", '{"kind": "none"}')
    assert found.returncode == 0
    assert "0 found" in found.stdout


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-c", "nowhere"), "planets"),
        (("-c", "planets", "--filter", '{"colour": "red"}'), "/filters/colour"),
        (("-c", "help"), "kind faq"),
    ],
)
def test_a_refused_search_tells_what_to_do(service: Running, arguments: tuple[str, ...], told: str) -> None:
    refused = run(service, "search", "red", *arguments)
    assert refused.returncode == 1
    assert told in refused.stderr
    assert "Request id" in refused.stderr


def test_control_characters_of_documents_do_not_reach_the_terminal(service: Running, tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "x.jsonl", {"id": "evil", "title": "\x1b]0;own\x07", "text": "tea \x1b[2J [bold]x[/nope]"}
    )
    assert run(service, "ingest", str(path), "--collection", "evil").returncode == 0
    found = run(service, "search", "tea", "--collection", "evil")
    assert found.returncode == 0, found.stderr
    assert "\x1b" not in found.stdout
    assert "[bold]x[/nope]" in found.stdout


@pytest.mark.usefixtures("client")
def test_an_evaluation_compares_modes(service: Running, tmp_path: Path) -> None:
    queries = write_lines(
        tmp_path / "queries.jsonl",
        {"id": "1", "query": "red planet", "relevant": {"mars": 1}},
        {"query": "rings of ice", "relevant": {"saturn": 2, "earth": 0}},
        {"query": "nobody judged this", "relevant": {}},
    )
    modes = ["--mode", "hybrid", "--mode", "vector", "--mode", "keyword"]
    measured = run(service, "evaluate", str(queries), "-c", "planets", *modes, "--json")
    assert measured.returncode == 0, measured.stderr
    results = json.loads(measured.stdout)["results"]
    assert [result["mode"] for result in results] == ["hybrid", "vector", "keyword"]
    assert results[0]["queries"] == 2
    assert (results[0]["recall"], results[0]["ndcg"], results[0]["mrr"]) == (1, 1, 1)
    assert "nDCG@10" in run(service, "evaluate", str(queries), "-c", "planets").stdout


def test_the_demo_answers_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "service", "demo"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "RETRIEVAL_LISTEN": "nonsense"},
        cwd=Path(__file__).parents[2],
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "24 of 24 answered" in shown.stdout
    assert list(tmp_path.iterdir()) == []
