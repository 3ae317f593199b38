"""Two tenants who use the same names for everything, and all that they can do.

Every text that a tenant writes holds a word of the tenant's own, and says which tenant it is; an answer that holds a
trace of the other one fails the test, wherever it came from.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import httpx
from msgspec import Struct

from tests.tools.keys import bearing

TENANTS: Final = ("acme", "beta")
MARKS: Final = {"acme": "xylophone", "beta": "zeppelin"}
QUERIES: Final = ("which harbour is deep", "what boils in the kettle", "who paints the bridge")
IDS: Final = ("one", "two", "delete", "a/b")
TRIES: Final = 20
"""What was late is left alone for a second, and each time for another where it is late again."""
USER: Final = {"X-User-ID": "alice"}


class World:
    """A service or several processes of it, with keys of both tenants."""

    def __init__(self, urls: list[str], keys: dict[str, str]) -> None:
        self._clients = [httpx.Client(base_url=url, timeout=60) for url in urls]
        self.places = range(len(urls))
        self._turns = itertools.cycle(range(len(urls)))
        self._keys = keys
        self._numbers = itertools.count()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How often a tenant's searches were answered from where."""

    def call(self, tenant: str, method: str, path: str, place: int | None = None, **more: Any) -> httpx.Response:
        """Send a request to one of the processes, and see that the answer holds nothing of the other tenant."""
        client = self._clients[next(self._turns) if place is None else place]
        headers = bearing(self._keys[tenant]) | more.pop("headers", {})
        for _ in range(TRIES):
            answer = client.request(method, path, headers=headers, **more)
            if answer.status_code != 503:  # a busy machine's Redis may be late for a write
                break
            time.sleep(float(answer.headers["retry-after"]))
        assert answer.status_code < 500 or answer.status_code == 504, answer.text
        seen, other = answer.text + str(answer.headers), other_than(tenant)
        assert MARKS[other] not in seen, (method, path, answer.text)
        is_said_back = other in path or other in repr(more)
        assert is_said_back or other not in seen, (method, path, answer.text)
        status = answer.headers.get("cache-status", "")
        if "hit" in status:
            self.outcomes[tenant, f"{path} {status.partition('detail=')[2].partition(';')[0]}"] += 1
        return answer

    def is_cached(self, tenant: str, place: int, path: str, body: dict[str, Any]) -> bool:
        """Whether the process has an answer without computing one."""
        headers = {"Cache-Control": "only-if-cached"}
        return self.call(tenant, "POST", path, place, json=body, headers=headers).status_code == 200

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def text(self, tenant: str, query: str) -> str:
        """Return a text of the tenant's own that answers a query, another each time."""
        return f"{query}? {MARKS[tenant]} number {next(self._numbers)} of {tenant}."


class Step(Struct, frozen=True):
    """What a tenant does: an operation on one of the ids and queries that both use."""

    tenant: str
    operation: str
    identifier: str
    query: str


def document(world: World, step: Step) -> dict[str, Any]:
    metadata = {"owner": step.tenant, f"only_{step.tenant}": 1}
    return {"id": step.identifier, "title": MARKS[step.tenant], "text": world.text(*pair(step)), "metadata": metadata}


def entry(world: World, step: Step) -> dict[str, Any]:
    answer = world.text(*pair(step))
    return {"id": step.identifier, "question": step.query, "answer": answer, "metadata": {"owner": step.tenant}}


def pair(step: Step) -> tuple[str, str]:
    return step.tenant, step.query


def other_than(tenant: str) -> str:
    return TENANTS[1 - TENANTS.index(tenant)]


def quoted(step: Step) -> str:
    return quote(step.identifier, safe="")


def delete_the_others(world: World, step: Step) -> None:
    """Delete what is marked as the other tenant's, of which there must be nothing."""
    body = {"filters": {"owner": other_than(step.tenant)}}
    answer = world.call(step.tenant, "POST", "/collections/documents/documents/delete", json=body)
    assert answer.status_code in {404, 422} or answer.json()["deleted"] == 0


def searched(world: World, step: Step, **more: Any) -> httpx.Response:
    body = {"query": step.query, **more.pop("body", {})}
    return world.call(step.tenant, "POST", "/search", json=body, **more)


def asked(world: World, step: Step) -> httpx.Response:
    body = {"query": step.query, "minimum_score": 0.1}
    return world.call(step.tenant, "POST", "/faq/search", json=body)


def unchanged(world: World, step: Step) -> None:
    """Ask with the validator of an answer of one's own, then let the other tenant ask with it."""
    tag = searched(world, step).headers.get("etag")
    if tag:
        answer = world.call(
            other_than(step.tenant), "POST", "/search", json={"query": step.query}, headers={"If-None-Match": tag}
        )
        assert answer.status_code != 304


BATCH = {"queries": [{"query": query} for query in QUERIES]}
FAQ_BATCH = {"queries": [{"query": query, "minimum_score": 0.1} for query in QUERIES]}
OPERATIONS: Final[dict[str, Callable[[World, Step], object]]] = {
    "search": searched,
    "search again": searched,
    "search as a user": lambda world, step: searched(world, step, headers=USER),
    "search by keyword": lambda world, step: searched(world, step, body={"mode": "keyword"}),
    "search in Latin letters": lambda world, step: searched(world, step, body={"query": MARKS[step.tenant]}),
    "search with a filter": lambda world, step: searched(world, step, body={"filters": {"owner": step.tenant}}),
    "search explained": lambda world, step: searched(world, step, body={"explain": True, "filters": {"owner": "x"}}),
    "reindex": lambda world, step: world.call(step.tenant, "POST", "/collections/documents/reindex", json={}),
    "give up reindexing": lambda world, step: world.call(step.tenant, "DELETE", "/collections/documents/reindex"),
    "roll back": lambda world, step: world.call(step.tenant, "POST", "/collections/documents/rollback"),
    "search cached": lambda world, step: searched(world, step, headers={"Cache-Control": "only-if-cached"}),
    "search by parameters": lambda world, step: world.call(step.tenant, "GET", "/search", params={"q": step.query}),
    "ask for changes": unchanged,
    "ask": asked,
    "ask again": asked,
    "batch": lambda world, step: world.call(step.tenant, "POST", "/search/batch", json=BATCH),
    "FAQ batch": lambda world, step: world.call(step.tenant, "POST", "/faq/search/batch", json=FAQ_BATCH),
    "context": lambda world, step: world.call(step.tenant, "POST", "/search/context", json={"query": step.query}),
    "import": lambda world, step: world.call(
        step.tenant, "POST", "/collections/documents/documents", json=document(world, step)
    ),
    "import an entry": lambda world, step: world.call(
        step.tenant, "POST", "/collections/faq/entries", json=entry(world, step)
    ),
    "upload": lambda world, step: world.call(
        step.tenant,
        "POST",
        "/collections/documents/files",
        files={"file": ("two.txt", world.text(*pair(step)).encode())},
        data={"id": step.identifier},
    ),
    "read": lambda world, step: world.call(step.tenant, "GET", f"/collections/documents/documents/{quoted(step)}"),
    "read an entry": lambda world, step: world.call(step.tenant, "GET", f"/collections/faq/entries/{quoted(step)}"),
    "list": lambda world, step: world.call(step.tenant, "GET", "/collections/documents/documents?limit=1"),
    "list entries": lambda world, step: world.call(step.tenant, "GET", "/collections/faq/entries"),
    "delete": lambda world, step: world.call(step.tenant, "DELETE", f"/collections/documents/documents/{quoted(step)}"),
    "delete an entry": lambda world, step: world.call(
        step.tenant, "DELETE", f"/collections/faq/entries/{quoted(step)}"
    ),
    "describe": lambda world, step: world.call(step.tenant, "GET", "/collections"),
    "describe one": lambda world, step: world.call(step.tenant, "GET", "/collections/documents"),
    "describe another": lambda world, step: world.call(step.tenant, "GET", "/collections/nowhere"),
    "search nowhere": lambda world, step: searched(world, step, body={"collection": "nowhere"}),
    "search an unknown field": lambda world, step: searched(world, step, body={"filters": {"nothing": 1}}),
    "delete what is the other's": delete_the_others,
    "add a field": lambda world, step: world.call(
        step.tenant, "PUT", "/collections/documents", json={"fields": {f"of_{step.tenant}": "integer"}}
    ),
    "delete the collection": lambda world, step: world.call(step.tenant, "DELETE", "/collections/documents"),
    "delete from the caches": lambda world, step: world.call(step.tenant, "DELETE", "/performance/cache"),
    "delete of a user": lambda world, step: world.call(step.tenant, "DELETE", "/performance/cache/alice"),
    "warm": lambda world, step: world.call(
        step.tenant, "POST", "/performance/cache/warm", json={"queries": [step.query]}
    ),
    "warm the hottest": lambda world, step: world.call(step.tenant, "POST", "/performance/cache/warm"),
    "stats": lambda world, step: world.call(step.tenant, "GET", "/performance/stats"),
    "cache stats": lambda world, step: world.call(step.tenant, "GET", "/performance/cache-stats"),
}
