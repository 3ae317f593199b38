"""The metrics of collections: all tenants together, and not at any caller's expense."""

import asyncio

import pytest

from service.access.loopback import LoopbackAccess
from service.errors import StoreUnavailable
from service.models import DEFAULT_TENANT, Collection, CollectionSize
from service.stores.census import PAUSE, Census
from service.stores.memory import MemoryStore
from service.telemetry import Telemetry
from tests.unit.resilience.clock import Clock

pytestmark = pytest.mark.anyio


class CountedStore(MemoryStore):
    """Takes a second for each count, waits when told to, loses a collection meanwhile, and fails when told to."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.counts = 0
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._clock = clock

    async def size(self, collection: Collection) -> CollectionSize:
        await self.gate.wait()
        self.counts += 1
        self._clock.now += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise StoreUnavailable("down")
        if collection.name == "gone":
            await self.delete_collection(collection.tenant, collection.name)
        return await super().size(collection)


async def census_of(*names: str) -> tuple[Census, CountedStore, Telemetry, Clock]:
    clock, telemetry = Clock(), Telemetry()
    store = CountedStore(clock)
    for name in names:
        assert await store.put_collection(Collection(tenant=DEFAULT_TENANT, name=name, kind="documents"), None)
    return Census(store, LoopbackAccess(), telemetry, clock), store, telemetry, clock


def exposed(telemetry: Telemetry) -> str:
    return telemetry.exposition()[0].decode()


async def test_a_collection_that_is_deleted_meanwhile_is_left_out() -> None:
    census, _, telemetry, _ = await census_of("gone", "here")
    await census.take()
    assert 'retrieval_passages{collection="here"} 0.0' in exposed(telemetry)
    assert 'collection="gone"' not in exposed(telemetry)


async def test_whoever_asks_again_at_once_gets_what_was_counted() -> None:
    census, store, _, clock = await census_of("here")
    await asyncio.gather(census.take(), census.take())
    await census.take()
    assert store.counts == 1
    clock.now += PAUSE
    await census.take()
    assert store.counts == 2


async def test_what_was_counted_stays_where_the_store_fails_meanwhile() -> None:
    census, store, telemetry, clock = await census_of("here")
    await census.take()
    store.is_down = True
    clock.now += PAUSE
    await census.take()
    assert store.counts == 2
    assert 'retrieval_passages{collection="here"} 0.0' in exposed(telemetry)


async def test_a_long_count_goes_on_while_a_scrape_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    census, store, telemetry, _ = await census_of("here")
    monkeypatch.setattr("service.stores.census.MOMENT_SECONDS", 0.01)
    store.gate.clear()
    await census.take()
    await census.take()
    assert 'collection="here"' not in exposed(telemetry)
    monkeypatch.undo()
    store.gate.set()
    await census.take()
    assert 'retrieval_passages{collection="here"} 0.0' in exposed(telemetry)
    assert store.counts == 1


async def test_a_count_ends_with_the_service() -> None:
    census, store, _, _ = await census_of("here")
    store.gate.clear()
    taking = asyncio.create_task(census.take())
    await asyncio.sleep(0)
    await census.close()
    await asyncio.wait_for(taking, 1)
    assert not store.counts
