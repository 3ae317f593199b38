"""Every store keeps the catalog by compare-and-set, apart for each tenant, and says so when a collection is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from secrets import token_hex

import pytest
from msgspec import structs

from service.errors import UnknownCollection
from service.models import Collection, passage_id
from service.stores.base import Store
from service.stores.filters import Condition, Filter
from tests.contract.library import Library, document, unit_vectors

pytestmark = pytest.mark.anyio


def entry(name: str, tenant: str = "acme") -> Collection:
    return Collection(tenant=tenant, name=name, kind="documents", fields={"pep": "integer"}, fingerprint="model")


async def created(store: Store, name: str, tenant: str = "acme") -> Library:
    collection = await store.put_collection(entry(name, tenant), None)
    assert collection is not None
    return Library(store, collection)


async def test_a_created_collection_is_found_as_it_was_declared(store: Store) -> None:
    name = f"c{token_hex(8)}"
    wanted = Collection(
        tenant="acme",
        name=name,
        kind="faq",
        fields={"created": "date", "authors": "keyword[]"},
        cache="policy",
        fingerprint="minilm:1",
    )
    stored = await store.put_collection(wanted, None)
    assert stored is not None
    assert stored.version
    assert structs.replace(stored, version="", physical="") == wanted
    assert await store.collection("acme", name) == stored


async def test_an_unknown_collection_is_none(store: Store) -> None:
    assert await store.collection("acme", "never_created") is None


async def test_collections_are_listed_by_name_for_their_tenant_alone(store: Store) -> None:
    tenant, other = token_hex(8), token_hex(8)
    for name in ("b", "a_1", "a", "z"):
        await created(store, name, tenant)
    await created(store, "theirs", other)
    assert [collection.name for collection in await store.collections(tenant)] == ["a", "a_1", "b", "z"]
    assert [collection.name for collection in await store.collections(other)] == ["theirs"]
    assert await store.collections(token_hex(8)) == []


async def test_a_collection_is_created_only_once(store: Store) -> None:
    name = f"c{token_hex(8)}"
    first = await created(store, name)
    assert await store.put_collection(structs.replace(entry(name), kind="faq"), None) is None
    assert await first.current() == first.collection


async def test_of_many_that_create_at_once_one_wins(store: Store) -> None:
    name = f"c{token_hex(8)}"
    answers = await asyncio.gather(*(store.put_collection(entry(name), None) for _ in range(10)))
    (winner,) = [answer for answer in answers if answer]
    assert await store.collection("acme", name) == winner


async def test_a_change_needs_the_entry_as_it_is_now(library: Library) -> None:
    old = library.collection
    changed = await library.declare({"topic": "keyword"})
    assert changed.fields == {**old.fields, "topic": "keyword"}
    assert changed.version != old.version
    assert await library.store.put_collection(structs.replace(old, cache="policy"), old) is None
    assert await library.current() == changed


async def test_a_change_of_a_collection_that_is_gone_is_refused(library: Library) -> None:
    await library.store.delete_collection("acme", library.collection.name)
    changed = structs.replace(library.collection, cache="policy")
    assert await library.store.put_collection(changed, library.collection) is None
    assert await library.store.collection("acme", library.collection.name) is None


async def test_fields_that_are_added_later_filter_what_is_written_since(library: Library) -> None:
    await library.write(document("before", metadata={"pep": 1}))
    await library.declare({"topic": "keyword"})
    await library.write(document("after", metadata={"topic": "types"}))
    assert await library.found({"topic": "types"}) == ["after"]
    assert await library.found({"topic": {"ne": "types"}}) == ["before"]
    assert await library.found({"pep": 1}) == ["before"]


async def test_every_write_gives_a_version_never_seen_before(library: Library) -> None:
    store = library.store
    seen = [library.collection.version]

    async def acknowledged(version: str) -> None:
        assert (await library.current()).version == version
        seen.append(version)

    await acknowledged(await library.write(document("a"), document("b")))
    await acknowledged(await library.write(document("a")))
    await acknowledged((await store.delete(library.collection, ["a"])).version)
    by_id = Filter((Condition("document_id", "keyword", "in", ("b",)),))
    await acknowledged((await store.delete_matching(library.collection, by_id)).version)
    await acknowledged((await library.declare({"topic": "keyword"})).version)
    assert len(set(seen)) == len(seen)


async def test_tenants_share_nothing(store: Store) -> None:
    name = f"c{token_hex(8)}"
    ours, theirs = await created(store, name, "acme"), await created(store, name, "rival")
    await ours.write(document("same", "our text", metadata={"pep": 1}), document("ours", "text"))
    await theirs.write(document("same", "their text", metadata={"pep": 2}))
    assert await ours.found() == ["ours", "same"]
    assert await theirs.found() == ["same"]
    assert [passage.text for passage in await theirs.stored(["same", "ours"])] == ["their text"]
    assert await theirs.found({"pep": 1}) == []
    assert (await store.delete(theirs.collection, ["ours"])).deleted == 0
    await store.delete_collection("rival", name)
    assert await ours.found() == ["ours", "same"]


async def test_two_collections_of_a_tenant_share_nothing(library: Library) -> None:
    other = await created(library.store, f"c{token_hex(8)}")
    await library.write(document("a", "text one"))
    await other.write(document("a", "text two"), document("b"))
    await library.store.delete(other.collection, ["a"])
    assert await library.found() == ["a"]
    assert await other.found() == ["b"]


NOTHING_IN = Filter((Condition("pep", "integer", "in", (1,)),))
OPERATIONS: dict[str, Callable[[Store, Collection], Awaitable[object]]] = {
    "size": lambda store, gone: store.size(gone),
    "nearest": lambda store, gone: store.nearest(gone, unit_vectors("x")[0], 10, None),
    "matching": lambda store, gone: store.matching(gone, "text", 10, None),
    "passages": lambda store, gone: store.passages(gone, [passage_id("a", 0)]),
    "write": lambda store, gone: store.write(gone, [document("a")]),
    "delete": lambda store, gone: store.delete(gone, ["a"]),
    "delete_matching": lambda store, gone: store.delete_matching(gone, NOTHING_IN),
    "records": lambda store, gone: store.records(gone, ["a"]),
    "content_hashes": lambda store, gone: store.content_hashes(gone, ["a"]),
    "list_records": lambda store, gone: store.list_records(gone, "", 10),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("is_created_again", [False, True])
async def test_what_is_asked_of_a_deleted_collection_is_refused(
    library: Library, operation: str, *, is_created_again: bool
) -> None:
    store, gone = library.store, library.collection
    await library.write(document("a", metadata={"pep": 1}))
    await store.delete_collection(gone.tenant, gone.name)
    await store.delete_collection(gone.tenant, gone.name)
    if is_created_again:
        await created(store, gone.name)
    with pytest.raises(UnknownCollection, match=gone.name):
        await OPERATIONS[operation](store, gone)


async def test_a_collection_created_again_is_empty(library: Library) -> None:
    await library.write(document("a"))
    await library.store.delete_collection("acme", library.collection.name)
    again = await created(library.store, library.collection.name)
    assert again.collection.version != library.collection.version
    assert await again.found() == []
    assert await library.store.list_records(again.collection, "", 10) == []
    assert (await library.store.size(again.collection)).documents == 0
