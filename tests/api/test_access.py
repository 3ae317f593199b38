"""With a file of keys: who has none gets a 401, who lacks the scope a 403, and nothing else is looked at."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from service.access.base import SCOPES, Scope
from service.access.files import changed_keys
from service.app import CLOSED, OPEN
from tests.tools.keys import bearing, written_key
from tests.tools.running import Running, free_port, running_service
from tests.tools.servers import wait_until

OPEN_PATHS = {"/health", "/health/live", "/health/ready", "/metrics"}
NEEDED: Mapping[tuple[str, str], Scope] = {
    ("POST", "/search"): "search",
    ("GET", "/search"): "search",
    ("POST", "/search/batch"): "search",
    ("POST", "/search/context"): "search",
    ("POST", "/faq/search"): "search",
    ("POST", "/faq/search/batch"): "search",
    ("GET", "/collections"): "search",
    ("GET", "/collections/{name}"): "search",
    ("PUT", "/collections/{name}"): "write",
    ("DELETE", "/collections/{name}"): "admin",
    ("POST", "/collections/{name}/reindex"): "admin",
    ("DELETE", "/collections/{name}/reindex"): "admin",
    ("POST", "/collections/{name}/rollback"): "admin",
    ("POST", "/collections/{name}/files"): "write",
    **{
        (method, f"/collections/{{name}}/{kind}{rest}"): scope
        for kind, one in (("documents", "/{document_id}"), ("entries", "/{entry_id}"))
        for method, rest, scope in list[tuple[str, str, Scope]](
            [
                ("POST", "", "write"),
                ("GET", "", "search"),
                ("GET", one, "search"),
                ("DELETE", one, "write"),
                ("GET", "/delete", "search"),  # of a document whose id is `delete`
                ("DELETE", "/delete", "write"),
                ("POST", "/delete", "write"),
            ]
        )
    },
    ("GET", "/performance/stats"): "admin",
    ("GET", "/performance/cache-stats"): "admin",
    ("GET", "/api/cache/metrics"): "admin",
    ("GET", "/api/stats/cache"): "admin",
    ("DELETE", "/performance/cache"): "admin",
    ("DELETE", "/performance/cache/{user_id}"): "admin",
    ("POST", "/performance/cache/warm"): "admin",
}
"""What API.md says of each route. One that is not here has no scope that anybody decided on."""


class Locked(Struct, frozen=True):
    """A service that asks for keys, at its most talkative, with a key for each scope alone."""

    running: Running
    file: Path
    log: Path
    keys: dict[Scope, str]

    def call(self, method: str, path: str, key: str = "", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {}) | (bearing(key) if key else {})
        return httpx.request(method, self.running.url + path, headers=headers, timeout=60, **more)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("access")
    file, log = folder / "keys", folder / "log"
    keys = {scope: written_key(file, "acme", scope) for scope in SCOPES}
    with running_service(None, log, api_keys_file=str(file), log_level="debug") as running:
        yield Locked(running, file, log, keys)


@pytest.fixture(scope="module")
def operations(locked: Locked) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Every operation of every path of the OpenAPI document."""
    paths = locked.call("GET", "/schema/openapi.json").json()["paths"]
    return [(method.upper(), path, one) for path, methods in paths.items() for method, one in methods.items()]


def closed(operations: list[tuple[str, str, Mapping[str, Any]]]) -> list[tuple[str, str]]:
    return [(method, path) for method, path, _ in operations if path not in OPEN_PATHS]


def filled(path: str) -> str:
    return re.sub(r"\{\w+\}", "nowhere", path)


def check_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, (answer.request.method, answer.request.url, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    problem = answer.json()
    assert problem.keys() == {"title", "status", "detail", "request_id"}
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_every_route_says_which_scope_it_needs_or_is_open() -> None:
    assert {path for handler in OPEN for path in handler.paths} == OPEN_PATHS
    for handler in CLOSED:
        assert handler.opt.get("scope") in SCOPES, f"{handler} has no opt=SEARCH, WRITE or ADMIN"


def test_no_route_answers_without_a_key_and_each_says_how_to_send_one(
    locked: Locked, operations: list[tuple[str, str, Mapping[str, Any]]]
) -> None:
    for method, path in closed(operations):
        for headers in ({}, {"Authorization": "Bearer rk_000000000000_0"}, {"Authorization": "Basic eDp5"}):
            check_problem(locked.call(method, filled(path), headers=headers), 401)
    assert "Authorization: Bearer KEY" in locked.call("GET", "/collections").json()["detail"]


def test_every_route_asks_for_the_scope_that_the_contract_says(
    locked: Locked, operations: list[tuple[str, str, Mapping[str, Any]]]
) -> None:
    for method, path in closed(operations):
        needed = NEEDED.get((method, path))
        assert needed, f"{method} {path}: decide on its scope, and write it here and in docs/api.md"
        for scope, key in locked.keys.items():
            answer = locked.call(method, filled(path), key)
            if scope == needed:
                assert answer.status_code not in {401, 403}, (method, path, answer.text)
            else:
                check_problem(answer, 403)
                assert repr(needed) in answer.json()["detail"]


def test_the_document_says_which_operations_need_a_key(
    operations: list[tuple[str, str, Mapping[str, Any]]], locked: Locked
) -> None:
    schemes = locked.call("GET", "/schema/openapi.json").json()["components"]["securitySchemes"]
    assert schemes == {"key": {"type": "http", "scheme": "bearer"}}
    for method, path, operation in operations:
        is_open = path in OPEN_PATHS
        assert operation.get("security") == (None if is_open else [{"key": []}]), (method, path)
        assert ({"401", "403"} <= operation["responses"].keys()) != is_open, (method, path)


def test_platforms_and_readers_of_the_document_need_no_key(locked: Locked) -> None:
    for path in (*OPEN_PATHS, "/schema", "/schema/openapi.json"):
        assert locked.call("GET", path).status_code == 200, path


def test_who_lacks_the_scope_cannot_tell_whether_a_collection_exists(locked: Locked) -> None:
    document = {"id": "x", "text": "There is a text."}
    locked.call("POST", "/collections/known/documents", locked.keys["write"], json=document).raise_for_status()
    for method, path, scope in (
        ("DELETE", "/collections/{}", "write"),
        ("DELETE", "/collections/{}", "search"),
        ("GET", "/collections/{}", "write"),
        ("GET", "/collections/{}/documents/x", "admin"),
        ("POST", "/collections/{}/documents", "search"),
    ):
        answers = [
            locked.call(method, path.format(name), locked.keys[scope], headers={"X-Request-ID": "same"})  # type: ignore[index]  # they are scopes
            for name in ("known", "unknown")
        ]
        assert answers[0].content == answers[1].content
        assert answers[0].status_code == 403
    for key in (locked.keys["write"], ""):
        bodies = {
            locked.call(
                "POST", "/search", key, json={"query": "text", "collection": name}, headers={"X-Request-ID": "same"}
            ).content
            for name in ("known", "unknown")
        }
        assert len(bodies) == 1


def test_a_refused_import_is_not_read_and_writes_nothing(locked: Locked) -> None:
    lines = b'{"id": "x", "text": "y"}\n' * 200_000
    headers = {"Content-Type": "application/x-ndjson"}
    try:
        answer = locked.call("POST", "/collections/refused/documents", content=lines, headers=headers)
        check_problem(answer, 401)
    except httpx.WriteError:
        pass  # the service had answered and closed before all was sent
    names = [one["name"] for one in locked.call("GET", "/collections", locked.keys["search"]).json()["collections"]]
    assert "refused" not in names


def test_a_new_key_opens_and_a_revoked_one_does_not_without_a_restart(locked: Locked) -> None:
    key = written_key(locked.file, "later", "search")
    wait_until(lambda: locked.call("GET", "/collections", key).status_code == 200)
    with changed_keys(locked.file) as keys:
        del keys[key.split("_")[1]]
    wait_until(lambda: locked.call("GET", "/collections", key).status_code == 401)


def test_a_bad_file_keeps_the_keys_and_is_logged(locked: Locked) -> None:
    whole = locked.file.read_bytes()
    locked.file.write_bytes(whole[:-9])
    try:
        wait_until(lambda: "the API keys stay as they are" in locked.log.read_text())
        assert locked.call("GET", "/collections", locked.keys["search"]).status_code == 200
    finally:
        locked.file.write_bytes(whole)
    wait_until(lambda: "the file of API keys is well again" in locked.log.read_text())


def test_no_key_is_ever_logged(locked: Locked) -> None:
    wrong = locked.keys["search"][:-4] + "beef"
    for key in (*locked.keys.values(), wrong):
        locked.call("GET", "/collections", key)
        locked.call("POST", "/search", key, json={"query": "x"})
        locked.call("POST", "/search", key, content=b"{")
        locked.call("GET", f"/search?q=x&key={key}", key)
        locked.call("POST", "/collections/known/documents", key, json=[{"id": key, "text": ""}])
        locked.call("GET", "/collections", headers={"Authorization": f"Token {key}"})
        locked.call("GET", "/collections", headers={"Authorization": key})
    lines = [json.loads(line) for line in locked.log.read_text().splitlines()]
    assert [line for line in lines if line["message"] == "request"]
    secrets = [key.rpartition("_")[2] for key in (*locked.keys.values(), wrong)]
    assert not [line for line in lines if any(secret in json.dumps(line) for secret in secrets)]


def command(locked: Locked, *arguments: str) -> "subprocess.CompletedProcess[str]":
    whole = [sys.executable, "-m", "service", *arguments, "--url", locked.running.url]
    return subprocess.run(whole, check=False, capture_output=True, text=True)


def test_the_commands_send_their_key_and_say_what_to_do_without(locked: Locked, tmp_path: Path) -> None:
    file = tmp_path / "text.md"
    file.write_text("The harbour of Port Louis is deep.")
    ingest = command(locked, "ingest", str(file), "--collection", "harbours", "--api-key", locked.keys["write"])
    assert ingest.returncode == 0, ingest.stderr
    searching = ("search", "harbour", "--collection", "harbours")
    assert "Port Louis" in command(locked, *searching, "--api-key", locked.keys["search"]).stdout
    without, wrong = command(locked, *searching), command(locked, *searching, "--api-key", locked.keys["write"])
    for refused in (without, wrong):
        assert refused.returncode == 1
        assert "--api-key" in refused.stderr
    assert "retrieval keys create" in without.stderr
    assert "'search'" in wrong.stderr


def test_a_start_with_a_bad_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("rubbish")
    whole = {"RETRIEVAL_API_KEYS_FILE": str(tmp_path / "keys"), "RETRIEVAL_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "service", "serve", "--port", str(free_port())]
    refused = subprocess.run(command, env=whole, check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "RETRIEVAL_API_KEYS_FILE" in refused.stderr
