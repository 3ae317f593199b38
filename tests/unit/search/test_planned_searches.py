"""A planned search returns what the unplanned one returns, whatever is known and whatever is written meanwhile."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.caches.freshness import OwnVersions
from service.embedders.pool import OneModel
from service.models import Collection, Match, SearchRequest, SearchResponse
from service.search.pipeline import SearchPipeline
from service.search.planner import Thresholds
from service.search.planning import Planning
from service.search.refreshing import Refreshing
from service.stages import Stages
from service.stores.base import Store, Vector
from service.stores.embedded import open_embedded_store
from service.stores.filters import Filter
from service.stores.memory import MemoryStore
from service.telemetry import Telemetry
from tests.contract.library import document
from tests.filter_strategies import FIELDS, METADATA, allowed_filters
from tests.unit.search.fakes import CARD, Fixed

pytestmark = pytest.mark.anyio


def open_memory(_: Path) -> AbstractAsyncContextManager[Store]:
    return nullcontext(MemoryStore())


def open_embedded(directory: Path) -> AbstractAsyncContextManager[Store]:
    return open_embedded_store(directory, dimensions=8, index_at=50_000)


@pytest.fixture(scope="module", params=[open_memory, open_embedded], ids=["memory", "embedded"])
async def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Store]:
    assert anyio_backend
    async with request.param(tmp_path_factory.mktemp("store")) as opened:
        yield opened


class Both:
    """The same searches with and without a planner over one new collection."""

    def __init__(self, store: Store, collection: Collection) -> None:
        self.store = store
        self.collection = collection
        self.telemetry = Telemetry()
        embedders = OneModel(Fixed(8))
        self.refreshing = Refreshing(store, OwnVersions(), pause_seconds=0)
        self.planning = Planning(store, self.refreshing, Thresholds(exact_matches=5), self.telemetry)
        self._planned = SearchPipeline(store, embedders, self.planning)
        self._unplanned = SearchPipeline(store, embedders)

    async def search(self, pipeline: SearchPipeline, raw: dict[str, Any], **fields: Any) -> SearchResponse:
        request = SearchRequest(query="text", collection=self.collection.name, limit=50, filters=raw, **fields)
        return await pipeline.run(await pipeline.prepare("t", request), None, Stages(self.telemetry))

    async def agree(self, raw: dict[str, Any]) -> None:
        assert await self.search(self._planned, raw) == await self.search(self._unplanned, raw)

    async def strategy(self, raw: dict[str, Any]) -> str:
        answer = await self.search(self._planned, raw, explain=True)
        assert answer.plan
        return answer.plan.strategy

    async def write(self, metadata: Sequence[dict[str, Any]], first: int = 0) -> None:
        entry = await self.store.collection("t", self.collection.name)
        assert entry
        documents = [document(f"d{first + place}", metadata=one) for place, one in enumerate(metadata)]
        await self.store.write(entry, documents)


async def both(store: Store) -> Both:
    entry = Collection(
        tenant="t", name=f"c{token_hex(8)}", kind="documents", fields=dict(FIELDS), fingerprint=CARD.fingerprint
    )
    created = await store.put_collection(entry, None)
    assert created
    return Both(store, created)


FEW, MANY = st.lists(METADATA, min_size=1, max_size=3), st.lists(METADATA, min_size=1, max_size=9)
FILTERS = st.lists(st.one_of(allowed_filters(1), allowed_filters(3)), min_size=3, max_size=6)


@settings(max_examples=25)
@given(
    before=FEW,
    after=MANY,
    filters=FILTERS,
    settles=st.sampled_from(["settles", "does not"]),
)
async def test_with_missing_current_and_stale_statistics_both_searches_agree(
    store: Store,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    filters: list[dict[str, Any]],
    settles: str,
) -> None:
    pair = await both(store)
    await pair.write(before)
    for raw in filters:
        await pair.agree(raw)  # nothing is known
    await pair.refreshing.settle()
    for raw in filters:
        await pair.agree(raw)  # exactly this version is known
    await pair.write(after, first=2)  # some are replaced, some are new
    if settles == "settles":
        await pair.refreshing.settle()
    for raw in filters:
        await pair.agree(raw)  # the version before is known
    await pair.planning.close()
    await store.delete_collection("t", pair.collection.name)


async def test_a_zero_holds_until_the_next_write(store: Store) -> None:
    pair = await both(store)
    await pair.write([{"status": "a"}, {"status": "b"}])
    assert await pair.strategy({"status": "c"}) == "filtered"
    await pair.refreshing.settle()
    assert await pair.strategy({"status": "c"}) == "empty"
    await pair.write([{"status": "c"}], first=9)
    assert await pair.strategy({"status": "c"}) == "exact"  # what is known is old: by it there are none
    await pair.agree({"status": "c"})
    await pair.refreshing.settle()
    await pair.store.delete(pair.collection, ["d9"])
    assert await pair.strategy({"status": "c"}) == "exact"
    await pair.planning.close()


async def test_statistics_count_what_is_there(store: Store) -> None:
    pair = await both(store)
    await pair.write(
        [{"status": "ab"[place % 2], "pep": place, "created": f"20{place:02}-01-01"} for place in range(40)]
    )
    for raw, matches in (({"status": "a"}, 20), ({"pep": {"lt": 10}}, 10), ({"created": {"gte": "2030-01-01"}}, 10)):
        await pair.search(pair._planned, raw)  # so that its field is known
        await pair.refreshing.settle()
        answer = await pair.search(pair._planned, raw, explain=True)  # as above
        assert answer.plan
        assert answer.plan.matches == matches
        assert answer.plan.estimated_matches == pytest.approx(matches, abs=2)
    await pair.planning.close()


class DeafStore(MemoryStore):
    """Counts the searches, and refuses them when told to."""

    asked = 0

    async def nearest(
        self, collection: Collection, vector: Vector, limit: int, where: Filter | None, *, exact: bool = False
    ) -> list[Match]:
        self.asked += 1
        return await super().nearest(collection, vector, limit, where, exact=exact)

    async def matching(self, collection: Collection, text: str, limit: int, where: Filter | None) -> list[Match]:
        self.asked += 1
        return await super().matching(collection, text, limit, where)

    async def count(self, collection: Collection, where: Filter | None) -> int:
        self.asked += 1
        return await super().count(collection, where)


async def test_a_contradiction_costs_no_call_of_the_store_and_no_embedding() -> None:
    store = DeafStore()
    pair = await both(store)
    pipeline = SearchPipeline(store, OneModel(Fixed(8, fails=True)), pair.planning)
    answer = await pair.search(pipeline, {"status": "a", "none_of": [{"status": "a"}]}, explain=True)
    assert (answer.hits, answer.degraded) == ([], [])
    assert answer.plan
    assert (answer.plan.strategy, answer.plan.matches) == ("empty", 0)
    assert store.asked == 0


async def test_a_search_without_a_filter_asks_for_no_statistics() -> None:
    store = DeafStore()
    pair = await both(store)
    await pair.search(pair._planned, {}, mode="vector")  # the planned one
    await pair.refreshing.settle()
    assert store.asked == 1
