"""A store around another: versions of Redis, writes that wait for it, and the catalog's compare-and-set as before."""

from collections.abc import AsyncIterator, Iterator, Sequence
from secrets import token_hex

import pytest
from msgspec import structs

from service.caches.base import ledger_name
from service.caches.ledgers import RedisVersions, ledger_key
from service.caches.redis import open_redis
from service.errors import CollectionChanged, RedisUnavailable, StoreUnavailable, UnknownCollection
from service.models import Collection, Generation
from service.stores.base import EmbeddedDocument
from service.stores.filters import parse_filter
from service.stores.memory import MemoryStore
from service.stores.versioned import UNKNOWN, VersionedStore
from tests.contract.library import Library, document
from tests.tools.servers import RunningRedis, redis_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[RunningRedis]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def versions(server: RunningRedis) -> AsyncIterator[RedisVersions]:
    async with open_redis(server.url, budget_seconds=5.0) as redis:
        yield RedisVersions(redis)


@pytest.fixture
async def other(server: RunningRedis) -> AsyncIterator[RedisVersions]:
    """Of another process."""
    async with open_redis(server.url, budget_seconds=5.0) as redis:
        yield RedisVersions(redis)


@pytest.fixture
async def library(versions: RedisVersions) -> Library:
    return await created(VersionedStore(MemoryStore(), versions))


async def created(store: VersionedStore) -> Library:
    collection = await store.put_collection(entry(), None)
    assert collection is not None
    return Library(store, collection)


def entry() -> Collection:
    return Collection(
        tenant="acme", name=f"c{token_hex(8)}", kind="documents", fields={"pep": "integer"}, fingerprint="f"
    )


async def test_every_write_has_the_version_that_the_entry_has_then(library: Library) -> None:
    seen = [library.collection.version]
    assert (await library.current()).version == seen[0]
    seen.append(await library.store.write(library.collection, [document("a"), document("b", metadata={"pep": 8})]))
    assert (await library.current()).version == seen[1]
    seen.append((await library.store.delete(library.collection, ["a"])).version)
    assert (await library.current()).version == seen[2]
    where = parse_filter({"pep": 8}, library.collection.fields)
    assert where is not None
    deletion = await library.store.delete_matching(library.collection, where)
    assert deletion.deleted == 1
    assert (await library.current()).version == deletion.version
    changed = await library.declare({"topic": "keyword"})
    assert await library.current() == changed
    assert len({*seen, deletion.version, changed.version}) == 5


async def test_the_writes_of_another_process_change_the_version(server: RunningRedis, other: RedisVersions) -> None:
    inner = MemoryStore()
    async with open_redis(server.url, budget_seconds=5.0) as redis:
        writer = await created(VersionedStore(inner, other))
        reader = VersionedStore(inner, RedisVersions(redis))
        key = writer.collection.tenant, writer.collection.name
        assert await reader.collection(*key) == await writer.current()
        version = await writer.store.write(writer.collection, [document("a")])
        (listed,) = await VersionedStore(inner, RedisVersions(redis)).collections("acme")
        assert listed.version == version


async def test_an_entry_reads_like_any_other(library: Library) -> None:
    found = await library.current()
    plain = Collection(**{field: getattr(found, field) for field in Collection.__struct_fields__})
    assert found == plain
    assert plain == found
    assert found != structs.replace(plain, cache="policy")
    assert structs.replace(found, cache="policy") != found


async def test_a_change_needs_the_entry_as_it_is_now(library: Library) -> None:
    old = library.collection
    changed = await library.declare({"topic": "keyword"})
    assert await library.store.put_collection(structs.replace(old, cache="policy"), old) is None
    assert await library.store.put_collection(structs.replace(changed, cache="policy"), changed) is not None


async def test_a_write_by_whomever_makes_an_entry_old(server: RunningRedis, versions: RedisVersions) -> None:
    inner = MemoryStore()
    library = await created(VersionedStore(inner, versions))
    seen = await library.current()
    await inner.write(seen, [document("not yet acknowledged")])
    assert await library.current() == seen
    assert await library.store.put_collection(structs.replace(seen, cache="policy"), seen) is None
    assert server.say("EXISTS", ledger_key(ledger_name(seen.tenant, seen.name))) == "1"


async def test_a_version_that_moved_for_no_write_makes_no_entry_old(library: Library, other: RedisVersions) -> None:
    seen = await library.current()
    async with other.write(ledger_name(seen.tenant, seen.name)):
        pass
    assert await library.store.put_collection(structs.replace(seen, cache="policy"), seen) is not None


async def test_an_entry_made_by_hand_is_compared_as_it_reads(library: Library) -> None:
    found = await library.current()
    plain = Collection(**{field: getattr(found, field) for field in Collection.__struct_fields__})
    wanted = structs.replace(plain, cache="policy")
    assert await library.store.put_collection(wanted, structs.replace(plain, version="another")) is None
    assert await library.store.put_collection(wanted, plain) is not None


async def test_the_version_is_older_than_the_entry_beside_it(versions: RedisVersions, other: RedisVersions) -> None:
    """Else an answer computed with an old entry would be cached under the version of a new one."""

    class Overtaken(MemoryStore):
        writes = 0

        async def collection(self, tenant: str, name: str) -> Collection | None:
            found = await super().collection(tenant, name)
            if found and self.writes:
                self.writes -= 1
                async with other.write(ledger_name(tenant, name)):
                    await self.write(found, [document("a")])
            return found

    inner = Overtaken()
    key = (await created(VersionedStore(inner, versions))).collection
    inner.writes = 2
    seen = await VersionedStore(inner, versions).collection(key.tenant, key.name)
    assert seen is not None
    assert seen.version != await other.read(ledger_name(key.tenant, key.name))


async def test_no_ledger_is_made_for_a_name_that_is_no_collection(server: RunningRedis, library: Library) -> None:
    name = f"c{token_hex(8)}"
    assert await library.store.collection("acme", name) is None
    assert server.say("EXISTS", ledger_key(ledger_name("acme", name))) == "0"


async def test_a_store_that_fails_says_why_and_is_not_believed(versions: RedisVersions) -> None:
    class Failing(MemoryStore):
        async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
            await super().write(collection, documents)
            raise StoreUnavailable("the answer was lost")

    library = await created(VersionedStore(Failing(), versions))
    with pytest.raises(StoreUnavailable, match="the answer was lost"):
        await library.store.write(library.collection, [document("a")])
    assert (await library.current()).version != library.collection.version


async def test_without_redis_reads_go_on_and_writes_wait() -> None:
    inner = MemoryStore()
    with redis_server() as server:
        async with open_redis(server.url, budget_seconds=5.0) as redis:
            library = await created(VersionedStore(inner, RedisVersions(redis)))
            server.kill()
            with pytest.raises(RedisUnavailable):
                await library.store.write(library.collection, [document("a")])
            assert await library.store.list_records(library.collection, "", 10) == []
            assert await library.current() == library.collection
            stranger = VersionedStore(inner, RedisVersions(redis))
            (found,) = await stranger.collections("acme")
            assert found.version == UNKNOWN


async def test_a_deleted_collection_is_gone(library: Library) -> None:
    await library.store.delete_collection(library.collection.tenant, library.collection.name)
    assert await library.store.collection(library.collection.tenant, library.collection.name) is None


async def test_a_write_beside_the_live_generation_leaves_the_version(library: Library) -> None:
    alone = await library.current()
    announced = structs.replace(alone, other=Generation(number=2))
    both = await library.store.put_collection(announced, alone)
    assert both is not None
    assert both.other is not None
    await library.store.write(both.at(both.other), [document("a")])
    assert (await library.current()).version == both.version
    await library.store.write(both, [document("a")])
    assert (await library.current()).version != both.version
    with pytest.raises(CollectionChanged):
        await library.store.write(alone, [document("b")])


async def test_nothing_is_written_to_what_a_deletion_left_behind(versions: RedisVersions) -> None:
    """Weaviate removes the entry before the passages: a process that dies between leaves them."""

    class Left(MemoryStore):
        is_deleted = False

        async def collection(self, tenant: str, name: str) -> Collection | None:
            return None if self.is_deleted else await super().collection(tenant, name)

    inner = Left()
    library = await created(VersionedStore(inner, versions))
    inner.is_deleted = True
    with pytest.raises(UnknownCollection):
        await library.store.write(library.collection, [document("a")])
    assert await inner.content_hashes(library.collection, ["a"]) == {}


class Mute(MemoryStore):
    """Says nothing of its catalog when told to."""

    is_mute = False

    async def collection(self, tenant: str, name: str) -> Collection | None:
        if self.is_mute:
            raise StoreUnavailable("mute")
        return await super().collection(tenant, name)


async def test_a_search_goes_on_with_the_entry_it_knows_while_the_catalog_cannot_be_read(
    versions: RedisVersions, other: RedisVersions
) -> None:
    inner = Mute()
    library = await created(VersionedStore(inner, versions))
    writer = Library(VersionedStore(inner, other), library.collection)
    version = await writer.write(document("a"))
    await versions.read(ledger_name("acme", library.collection.name))
    inner.is_mute = True
    found = await library.current()
    assert (found.version, found.fields) == (version, library.collection.fields)
    with pytest.raises(StoreUnavailable):
        await library.write(document("b"))


async def test_an_entry_that_this_process_changed_is_the_new_one_though_the_catalog_cannot_be_read(
    versions: RedisVersions,
) -> None:
    inner = Mute()
    library = await created(VersionedStore(inner, versions))
    changed = await library.declare({"topic": "keyword"})
    inner.is_mute = True
    assert await library.current() == changed
