"""What every store does with two generations of a collection."""

import pytest
from msgspec import structs

from service.errors import CollectionChanged
from service.models import Collection, Generation
from service.stores.filters import parse_filter
from tests.contract.library import DIMENSIONS, Library, document, unit_vectors

pytestmark = pytest.mark.anyio


async def announced(library: Library) -> Collection:
    """Give the collection a second generation; returns the entry."""
    entry = await library.current()
    other = Generation(number=entry.generation + 1, fingerprint="g", model="other", passage_tokens=64)
    changed = await library.store.put_collection(structs.replace(entry, other=other), entry)
    assert changed
    library.collection = changed
    return changed


def beside(entry: Collection) -> Collection:
    assert entry.other
    return entry.at(entry.other)


def swapped(entry: Collection) -> Collection:
    """What the entry becomes when its generations take each other's place."""
    assert entry.other
    kept = Generation(
        number=entry.generation, physical=entry.physical, fingerprint=entry.fingerprint, model=entry.model, state="kept"
    )
    return structs.replace(entry.at(entry.other), other=kept, is_beside=False)


async def ids(library: Library, entry: Collection) -> list[str]:
    return sorted(record.id for record in await library.store.list_records(entry, "", 100))


async def found(library: Library, entry: Collection) -> list[str]:
    """Documents that the vector leg finds, sorted."""
    matches = await library.store.nearest(entry, unit_vectors("any")[0], 100, None)
    passages = await library.store.passages(entry, [match.id for match in matches])
    return sorted({passage.document_id for passage in passages})


async def test_a_new_generation_is_empty_and_has_a_place_of_its_own(library: Library) -> None:
    await library.write(document("a"))
    entry = await announced(library)
    assert entry.other
    assert entry.other.physical not in {"", entry.physical}
    assert structs.replace(entry.other, physical="") == Generation(
        number=2, fingerprint="g", model="other", passage_tokens=64
    )
    assert await ids(library, beside(entry)) == await found(library, beside(entry)) == []
    assert await ids(library, entry) == await found(library, entry) == ["a"]


async def test_each_generation_holds_what_is_written_to_it(library: Library) -> None:
    entry = await announced(library)
    await library.store.write(beside(entry), [document("both"), document("beside")])
    await library.store.write(entry, [document("both"), document("live", "one", "two")])
    assert await found(library, entry) == await ids(library, entry) == ["both", "live"]
    assert await found(library, beside(entry)) == await ids(library, beside(entry)) == ["beside", "both"]
    assert (await library.store.size(entry)).passages == 3
    assert (await library.store.size(beside(entry))).passages == 2
    assert (await library.store.delete(beside(entry), ["both"])).deleted == 1
    assert list(await library.store.content_hashes(entry, ["both", "beside"])) == ["both"]
    assert list(await library.store.content_hashes(beside(entry), ["both", "beside"])) == ["beside"]
    where = parse_filter({"document_id": ["beside", "live"]}, entry.fields)
    assert where
    assert (await library.store.delete_matching(beside(entry), where)).deleted == 1
    assert await found(library, entry) == ["both", "live"]


async def test_a_swap_changes_what_is_searched_and_loses_nothing(library: Library) -> None:
    await library.write(document("old"))
    before = await announced(library)
    await library.store.write(beside(before), [document("new")])
    entry = await library.store.put_collection(swapped(before := await library.current()), before)
    assert entry
    assert entry.version != before.version
    assert entry == await library.current()
    assert (entry.generation, entry.fingerprint, entry.model, entry.passage_tokens) == (2, "g", "other", 64)
    assert await found(library, entry) == ["new"]
    assert await found(library, beside(entry)) == ["old"]
    back = await library.store.put_collection(swapped(entry), entry)
    assert back
    assert back.generation == 1
    assert await found(library, back) == ["old"]
    assert await found(library, beside(back)) == ["new"]


async def test_what_the_entry_no_longer_names_is_gone(library: Library) -> None:
    await library.write(document("a"))
    first = await announced(library)
    await library.store.write(beside(first), [document("b")])
    current = await library.current()
    alone = await library.store.put_collection(structs.replace(current, other=None), current)
    assert alone
    assert alone.other is None
    with pytest.raises(Exception, match=library.collection.name):
        await library.store.write(beside(first), [document("c")])
    assert await found(library, alone) == ["a"]
    second = await announced(library)
    assert await ids(library, beside(second)) == []


async def test_a_write_for_other_generations_than_there_are_is_refused(library: Library) -> None:
    alone = await library.current()
    both = await announced(library)
    for stale in (alone, structs.replace(alone, version=both.version)):
        with pytest.raises(CollectionChanged):
            await library.store.write(stale, [document("lost")])
        with pytest.raises(CollectionChanged):
            await library.store.delete(stale, ["lost"])
    current = await library.current()
    assert await library.store.put_collection(swapped(current), current)
    for stale in (alone, both, beside(both)):
        with pytest.raises(CollectionChanged):
            await library.store.write(stale, [document("lost")])
    assert await found(library, await library.current()) == []


async def test_fields_are_declared_for_both_generations(library: Library) -> None:
    await announced(library)
    entry = await library.declare({"shade": "keyword"})
    for one in (entry, beside(entry)):
        await library.store.write(one, [document("a", metadata={"shade": "dark"}), document("b")])
        where = parse_filter({"shade": "dark"}, entry.fields)
        assert len(await library.store.nearest(one, unit_vectors("any")[0], 10, where)) == 1


async def test_a_generation_takes_vectors_of_other_dimensions(library: Library) -> None:
    await library.write(document("a"))
    entry = await announced(library)
    plain = document("a")
    wide = structs.replace(plain, vectors=unit_vectors("a").repeat(2, axis=1) / 2**0.5)
    await library.store.write(beside(entry), [wide])
    (match,) = await library.store.nearest(beside(entry), wide.vectors[0], 10, None)
    assert match.score == pytest.approx(1, abs=1e-3)
    assert wide.vectors.shape == (1, 2 * DIMENSIONS)
    assert await found(library, entry) == ["a"]


async def test_a_deleted_collection_leaves_no_generation(library: Library) -> None:
    entry = await announced(library)
    await library.store.write(beside(entry), [document("a")])
    await library.store.delete_collection(entry.tenant, entry.name)
    assert await library.store.collection(entry.tenant, entry.name) is None
    with pytest.raises(Exception, match=entry.name):
        await library.store.records(beside(entry), ["a"])


async def test_an_empty_generation_has_nothing_near_any_vector(library: Library) -> None:
    entry = await announced(library)
    wide = unit_vectors("any").repeat(2, axis=1)[0] / 2**0.5
    for one in (entry, beside(entry)):
        assert await library.store.nearest(one, wide, 10, None) == []
