"""Statistics are taken in the background, once at a time, and prove something only where nothing moved meanwhile."""

import asyncio

import pytest

from service.errors import StoreUnavailable
from service.models import Collection
from service.search.refreshing import MOST_COLLECTIONS, MOST_FIELDS, Refreshing
from service.search.statistics import Histogram, Statistics, ValueCounts
from service.stores.filters import Filter
from service.stores.memory import MemoryStore
from tests.contract.library import document
from tests.filter_strategies import FIELDS
from tests.unit.resilience.clock import Clock

pytestmark = pytest.mark.anyio


class Freshness:
    """What the test says."""

    def __init__(self) -> None:
        self.confirmed = True
        self.proven = True
        self.ttl_seconds = float("inf")

    def is_confirmed(self, _: Collection) -> bool:
        return self.confirmed

    def proves(self, _: Collection, __: str) -> bool:
        return self.proven

    def most_ttl_seconds(self, _: Collection) -> float:
        return self.ttl_seconds

    async def outlast(self, _: Collection) -> None:
        return None


class Counting(MemoryStore):
    """Counts how often statistics are begun, and may write in the midst of it, wait, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.begins = asyncio.Event()
        self.writes: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def count(self, collection: Collection, where: Filter | None) -> int:
        if where is None:
            self.begun += 1
            self.begins.set()
            await self.gate.wait()
            if self.fails:
                raise StoreUnavailable("out")
            for name in self.writes:
                await self.write(collection, [document(name, metadata={"status": "late"})])
        return await super().count(collection, where)


async def filled(store: MemoryStore, name: str = "things", *statuses: str) -> Collection:
    entry = Collection(tenant="t", name=name, kind="documents", fields=dict(FIELDS), fingerprint="f")
    created = await store.put_collection(entry, None)
    assert created
    await store.write(
        created, [document(f"d{place}", metadata={"status": one}) for place, one in enumerate(statuses or ("a", "b"))]
    )
    return await now(store, created)


async def now(store: MemoryStore, collection: Collection) -> Collection:
    found = await store.collection(collection.tenant, collection.name)
    assert found
    return found


async def taken(refreshing: Refreshing, collection: Collection, *fields: str) -> Statistics:
    refreshing.known(collection, set(fields))
    await refreshing.settle()
    statistics = refreshing.known(collection, set(fields))
    await refreshing.settle()
    assert statistics
    return statistics


async def test_the_first_search_finds_nothing_known_and_the_next_one_does() -> None:
    store = Counting()
    collection = await filled(store, "things", "a", "a", "b")
    refreshing = Refreshing(store, Freshness())
    assert refreshing.known(collection, {"status"}) is None
    await refreshing.settle()
    statistics = refreshing.known(collection, {"status"})
    assert statistics
    assert statistics.fields == {"status": ValueCounts({"a": 2, "b": 1}, others=0, present=3)}
    assert (statistics.total, statistics.version, statistics.is_proof) == (3, collection.version, True)


async def test_many_searches_at_once_take_them_once() -> None:
    store = Counting()
    collection = await filled(store)
    refreshing = Refreshing(store, Freshness())
    store.gate.clear()
    for _ in range(5):
        assert refreshing.known(collection, {"status"}) is None
        await asyncio.sleep(0)
    store.gate.set()
    await refreshing.settle()
    assert refreshing.known(collection, {"status"})
    assert store.begun == 1


async def test_however_often_something_is_written_they_are_taken_seldom() -> None:
    store = Counting()
    collection = await filled(store)
    refreshing = Refreshing(store, Freshness(), pause_seconds=60)
    first = await taken(refreshing, collection, "status")
    for number in range(5):
        await store.write(collection, [document(f"n{number}")])
        assert refreshing.known(await now(store, collection), {"status"}) is first
        await refreshing.settle()
    assert store.begun == 1


async def test_once_the_pause_is_over_a_search_that_finds_them_old_has_them_taken_again() -> None:
    store = Counting()
    collection = await filled(store)
    clock = Clock()
    refreshing = Refreshing(store, Freshness(), pause_seconds=60, clock=clock)
    await taken(refreshing, collection, "status")
    await store.write(collection, [document("n", metadata={"status": "new"})])
    clock.now += 59
    assert (await taken(refreshing, await now(store, collection), "status")).total == 2
    clock.now += 1
    assert (await taken(refreshing, await now(store, collection), "status")).total == 3


async def test_a_field_asked_for_the_first_time_does_not_wait_for_the_pause() -> None:
    store = Counting()
    collection = await filled(store)
    refreshing = Refreshing(store, Freshness(), pause_seconds=60)
    await taken(refreshing, collection, "status")
    statistics = await taken(refreshing, collection, "pep")
    assert statistics.fields["pep"] == Histogram()
    assert "status" in statistics.fields


async def test_what_was_written_while_they_were_taken_makes_them_no_proof() -> None:
    store = Counting()
    collection = await filled(store)
    store.writes = ["late"]
    statistics = await taken(Refreshing(store, Freshness(), pause_seconds=60), collection, "status")
    assert not statistics.is_proof


@pytest.mark.parametrize("doubt", ["unconfirmed", "unsettled"])
async def test_where_the_version_is_in_doubt_or_replicas_may_lag_they_are_no_proof(doubt: str) -> None:
    store, freshness = Counting(), Freshness()
    collection = await filled(store)
    freshness.confirmed = doubt != "unconfirmed"
    freshness.ttl_seconds = 5.0 if doubt == "unsettled" else float("inf")
    assert not (await taken(Refreshing(store, freshness), collection, "status")).is_proof


async def test_where_replicas_begin_to_lag_while_they_are_taken_they_are_no_proof() -> None:
    store, freshness = Counting(), Freshness()
    collection = await filled(store)
    refreshing = Refreshing(store, freshness)
    store.gate.clear()
    refreshing.known(collection, {"status"})
    await store.begins.wait()
    freshness.ttl_seconds = 5.0
    store.gate.set()
    assert not (await taken(refreshing, collection, "status")).is_proof


async def test_a_caller_who_has_seen_something_newer_is_given_no_proof() -> None:
    store, freshness = Counting(), Freshness()
    collection = await filled(store)
    refreshing = Refreshing(store, freshness)
    assert refreshing.is_current(collection, None)
    assert refreshing.is_current(collection, "another")
    freshness.proven = False
    assert not refreshing.is_current(collection, "another")
    assert refreshing.is_current(collection, collection.version)
    freshness.confirmed = False
    assert not refreshing.is_current(collection, None)


async def test_a_store_that_fails_leaves_what_was_known() -> None:
    store = Counting()
    collection = await filled(store)
    clock = Clock()
    refreshing = Refreshing(store, Freshness(), clock=clock)
    first = await taken(refreshing, collection, "status")
    await store.write(collection, [document("n")])
    store.fails = True
    clock.now += 60
    assert await taken(refreshing, await now(store, collection), "status") is first
    assert store.begun == 2


async def test_a_deleted_collection_has_none() -> None:
    store = Counting()
    collection = await filled(store)
    refreshing = Refreshing(store, Freshness())
    await store.delete_collection("t", "things")
    assert refreshing.known(collection, {"status"}) is None
    await refreshing.settle()
    assert refreshing.known(collection, {"status"}) is None


async def test_as_many_collections_and_fields_are_kept_as_are_allowed() -> None:
    store = Counting()
    clock = Clock()
    refreshing = Refreshing(store, Freshness(), clock=clock)
    first = await filled(store, "first")
    await taken(refreshing, first, "status")
    for number in range(MOST_COLLECTIONS):
        refreshing.known(await filled(store, f"c{number}"), {"status"})
    await refreshing.settle()
    assert refreshing.known(first, {"status"}) is None
    for number in range(MOST_FIELDS + 1):
        refreshing.known(first, {f"undeclared{number}"})
    await refreshing.settle()
    clock.now += 60
    assert "status" not in (await taken(refreshing, first, "pep")).fields


async def test_closing_ends_what_is_being_taken() -> None:
    store = Counting()
    collection = await filled(store)
    store.gate.clear()
    refreshing = Refreshing(store, Freshness())
    refreshing.known(collection, {"status"})
    await asyncio.sleep(0)
    await refreshing.close()
    assert refreshing.known(collection, {"status"}) is None
    await refreshing.close()


async def test_who_goes_through_more_fields_than_are_kept_does_not_have_them_taken_all_the_time() -> None:
    store = Counting()
    collection = await filled(store)
    refreshing = Refreshing(store, Freshness(), pause_seconds=60)
    names = [f"field{number}" for number in range(2 * MOST_FIELDS)]
    for name in names:
        await taken(refreshing, collection, name)
    begun = store.begun
    for name in names:
        await taken(refreshing, collection, name)
    assert store.begun == begun
