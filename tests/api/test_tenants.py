"""Nothing of one tenant is ever seen by another, and each has hits of its own, from memory and from Redis."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.api.tenancy import IDS, MARKS, OPERATIONS, QUERIES, TENANTS, USER, Step, World, document, entry
from tests.cluster.processes import shared_processes
from tests.tools.keys import written_key
from tests.tools.running import PATIENT, running_service
from tests.tools.servers import redis_server, wait_until
from tests.tools.weaviate import settings_of

steps = st.builds(
    Step,
    tenant=st.sampled_from(TENANTS),
    operation=st.sampled_from(sorted(OPERATIONS)),
    identifier=st.sampled_from(IDS),
    query=st.sampled_from(QUERIES),
)


@pytest.fixture(scope="module", params=["embedded", "weaviate"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One process on the embedded store without Redis, or two on Weaviate with it."""
    folder = tmp_path_factory.mktemp("tenants")
    file = folder / "keys"
    keys = {tenant: written_key(file, tenant) for tenant in TENANTS}
    with ExitStack() as stack:
        if request.param == "weaviate":
            url = stack.enter_context(redis_server()).url
            environment = settings_of(request.getfixturevalue("weaviate")) | PATIENT
            environment |= {"RETRIEVAL_API_KEYS_FILE": str(file)}
            processes = stack.enter_context(shared_processes(2, url, folder, **environment))
            opened = World([process.url for process in processes], keys)
        else:
            opened = World([stack.enter_context(running_service(api_keys_file=str(file))).url], keys)
        stack.callback(opened.close)
        yield opened


def filled(world: World) -> None:
    """Give both tenants documents and entries under the same ids."""
    for tenant in TENANTS:
        for place, query in enumerate(QUERIES):
            step = Step(tenant, "", IDS[place], query)
            world.call(
                tenant, "POST", "/collections/documents/documents", json=document(world, step)
            ).raise_for_status()
            world.call(tenant, "POST", "/collections/faq/entries", json=entry(world, step)).raise_for_status()


def test_whatever_two_tenants_do_neither_sees_anything_of_the_other(world: World) -> None:
    @settings(max_examples=6, suppress_health_check=[*HealthCheck], phases=[Phase.generate])  # the service remembers
    @given(st.lists(steps, min_size=20, max_size=60))
    def each_keeps_to_its_own(taken: list[Step]) -> None:
        filled(world)
        for step in taken:
            OPERATIONS[step.operation](world, step)

    each_keeps_to_its_own()
    for tenant in TENANTS:
        assert sum(count for (of, _), count in world.outcomes.items() if of == tenant), "no hit: nothing was proved"


SEARCHES = pytest.mark.parametrize(
    ("path", "more"), [("/search", {}), ("/faq/search", {"minimum_score": 0.1})], ids=["search", "faq"]
)


def status(world: World, tenant: str, place: int, path: str, body: dict[str, Any], **headers: str) -> str:
    answer = world.call(tenant, "POST", path, place, json=body, headers=headers)
    return str(answer.headers.get("cache-status", answer.status_code))


@SEARCHES
def test_an_answer_is_a_hit_for_its_own_tenant_alone(world: World, path: str, more: dict[str, Any]) -> None:
    filled(world)
    wait_until(lambda: all(is_kept(world, tenant, path, more) for tenant in TENANTS))
    body = {"query": "is the harbour deeper than the kettle", **more}
    for tenant in TENANTS:  # of the second, the first has asked the very same
        assert "fwd=miss" in status(world, tenant, 0, path, body)
        assert "detail=memory" in status(world, tenant, 0, path, body)
    for place in world.places[1:]:
        for tenant in TENANTS:
            wait_until(lambda: world.is_cached(tenant, place, path, body))  # noqa: B023  # called at once
            assert world.outcomes[tenant, f"{path} redis"], "the other process shares nothing"


def is_kept(world: World, tenant: str, path: str, more: dict[str, Any]) -> bool:
    """Whether results of the tenant are cached again after a write."""
    body = {"query": QUERIES[0], **more}
    return "hit" in status(world, tenant, 0, path, body)


@SEARCHES
def test_a_deletion_by_one_tenant_leaves_the_other_its_hits(world: World, path: str, more: dict[str, Any]) -> None:
    filled(world)
    body = {"query": QUERIES[1], **more}
    for deletion in ("/performance/cache", "/performance/cache?kind=result", "/performance/cache/alice"):
        for tenant in TENANTS:
            wait_until(lambda: "hit" in status(world, tenant, 0, path, body, **USER))  # noqa: B023  # called at once
        acme, beta = TENANTS
        assert world.call(acme, "DELETE", deletion, 0).json()["entries"]
        assert "hit" in status(world, beta, 0, path, body, **USER)
        assert "fwd=miss" in status(world, acme, 0, path, body, **USER)


def test_embeddings_are_kept_for_their_own_tenant_alone(world: World) -> None:
    filled(world)
    query = "how deep may a bridge be painted"

    def counted(tenant: str, place: int, limit: int) -> dict[str, tuple[int, int]]:
        """Search, and return how many hits and misses of embeddings that made in each tier."""
        before = embeddings(place)
        world.call(tenant, "POST", "/search", place, json={"query": query, "limit": limit}).raise_for_status()
        return {
            tier: (hits - before[tier][0], misses - before[tier][1])
            for tier, (hits, misses) in embeddings(place).items()
        }

    def embeddings(place: int) -> dict[str, tuple[int, int]]:
        caches = world.call(TENANTS[0], "GET", "/performance/cache-stats", place).json()["caches"]
        return {tier: (one["hits"], one["misses"]) for tier, one in caches["embedding"].items()}

    for tenant in TENANTS:
        assert set(counted(tenant, 0, 1).values()) == {(0, 1)}, "it was embedded for the other"
        assert counted(tenant, 0, 2)["memory"] == (1, 0)


def test_what_one_tenant_warms_is_warm_for_it_alone(world: World) -> None:
    filled(world)
    query = "who boils the harbour"
    acme, beta = TENANTS
    wait_until(lambda: is_kept(world, acme, "/search", {}))
    warmed = world.call(acme, "POST", "/performance/cache/warm", 0, json={"queries": [query]}).json()
    assert warmed["warmed"] == 1
    assert "fwd=miss" in status(world, beta, 0, "/search", {"query": query})
    assert "hit" in status(world, acme, 0, "/search", {"query": query})


LOOKALIKES = ("d\u043ecuments", "documents\u200b", "\uff44ocuments", "Documents", "documents ")
INJECTIONS = (
    "documents' OR '1'='1",
    'documents"} {Get{Documents{text}}} {"',
    "documents\r\nX-Tenant: acme",
    "redis.call('KEYS','*')",
    "../acme/documents",
    "acme:documents",
    "documents\x00",
    "*",
    "acme",
)


@pytest.mark.parametrize("text", [*LOOKALIKES, *INJECTIONS])
def test_nothing_that_a_tenant_writes_anywhere_reaches_the_other(world: World, text: str) -> None:
    filled(world)
    acme, beta = TENANTS
    place = "/collections/documents/documents"
    before = world.call(acme, "GET", place).json()["documents"]
    encoded = quote(text, safe="")
    refusals = [
        world.call(beta, "POST", "/search", json={"query": "harbour", "collection": text}),
        world.call(beta, "POST", "/search/context", json={"query": "harbour", "collection": text}),
        world.call(beta, "POST", "/faq/search", json={"query": "harbour", "collection": text}),
        world.call(beta, "GET", "/search", params={"q": "harbour", "collection": text}),
        world.call(beta, "POST", "/search", json={"query": "harbour", "filters": {text: "x"}}),
        world.call(beta, "PUT", f"/collections/{encoded}", json={"fields": {"x y": "keyword"}}),
        world.call(beta, "PUT", "/collections/documents", json={"fields": {text + "!": "keyword"}}),
        world.call(beta, "GET", f"/collections/{encoded}"),
        world.call(beta, "GET", f"/collections/{encoded}/documents"),
        world.call(beta, "POST", f"/collections/{encoded}-/documents", json={"id": "x", "text": "x"}),
        world.call(beta, "DELETE", "/performance/cache", params={"collection": text + "!"}),
        world.call(beta, "GET", f"/collections/documents/documents/{encoded}"),
    ]
    for answer in refusals:
        assert 400 <= answer.status_code < 500, (answer.request.url, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    for filters in ({"owner": text}, {"owner": {"in": [text, "*"]}}, {"document_id": text}):
        found = world.call(beta, "POST", "/search", json={"query": text, "filters": filters})
        assert found.status_code == (422 if "\0" in text else 200)
        assert not found.json().get("hits")
        deleted = world.call(beta, "POST", f"{place}/delete", json={"filters": filters})
        assert not deleted.json().get("deleted")
    world.call(beta, "DELETE", f"/performance/cache/{encoded}")
    assert world.call(acme, "GET", place).json()["documents"] == before


@pytest.mark.parametrize("header", ["X-Tenant", "X-Tenant-ID", "X-User-ID", "X-Forwarded-User", "Tenant"])
def test_no_header_but_the_key_says_whose_data_is_seen(world: World, header: str) -> None:
    filled(world)
    acme, beta = TENANTS
    found = world.call(beta, "POST", "/search", json={"query": QUERIES[0]}, headers={header: acme})
    assert {hit["metadata"].get("owner", beta) for hit in found.json()["hits"]} == {beta}
    assert MARKS[beta] in found.text
