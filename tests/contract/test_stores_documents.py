"""Every store writes, replaces, deletes and lists whole documents, and gives back exactly what was written."""

import asyncio
from typing import Any

import pytest

from service.models import passage_id
from service.stores.filters import parse_filter
from tests.contract.library import Library, document

pytestmark = pytest.mark.anyio


async def test_a_written_document_is_given_back_as_it_was(library: Library) -> None:
    written = document(
        "guide",
        "First text.",
        "Second text.",
        title="A guide",
        context="A guide > Beginning",
        metadata={"status": "Final", "authors": ["Ann", "Bob"]},
        answer="Forty-two.",
    )
    await library.write(written)
    assert await library.store.records(library.collection, ["guide", "absent"]) == [written.record]
    assert await library.stored(["guide"]) == written.passages
    (best, _) = await library.store.nearest(library.collection, written.vectors[1], 2, None)
    assert await library.passages_of([best]) == [written.passages[1]]
    (found,) = await library.store.matching(library.collection, "second", 5, None)
    assert found.id == written.passages[1].id


async def test_the_size_counts_documents_and_passages(library: Library) -> None:
    await library.write(document("a", "one", "two", "three"), document("b"))
    size = await library.store.size(library.collection)
    assert (size.documents, size.passages) == (2, 4)
    assert size.bytes >= 0


async def test_a_shorter_rewrite_leaves_nothing_of_the_longer_one(library: Library) -> None:
    await library.write(document("a", "zebra text", "giraffe text", "lion text"), document("b"))
    shorter = document("a", "tiger text")
    await library.write(shorter)
    assert await library.stored(["a"]) == shorter.passages
    assert await library.found() == ["a", "b"]
    assert await library.matching_ids("zebra giraffe lion") == []
    assert await library.matching_ids("tiger") == ["a"]
    assert (await library.store.size(library.collection)).passages == 2
    assert await library.store.records(library.collection, ["a"]) == [shorter.record]


async def test_a_rewrite_replaces_metadata_and_vectors(library: Library) -> None:
    old = document("a", "old text", metadata={"status": "Draft", "pep": 1})
    new = document("a", "new text", metadata={"status": "Final"})
    await library.write(old)
    await library.write(new)
    assert await library.found({"status": "Draft"}) == []
    assert await library.found({"pep": {"exists": True}}) == []
    assert await library.found({"status": "Final"}) == ["a"]
    (match,) = await library.store.nearest(library.collection, new.vectors[0], 5, None)
    assert match.score == pytest.approx(1, abs=1e-4)


async def test_deleting_counts_what_existed_and_takes_all_of_it(library: Library) -> None:
    await library.write(document("a", "zebra text", "lion text"), document("b"), document("c"))
    deletion = await library.store.delete(library.collection, ["a", "b", "absent", "a"])
    assert deletion.deleted == 2
    assert await library.found() == ["c"]
    assert await library.stored(["a", "b"]) == []
    assert await library.matching_ids("zebra") == []
    assert await library.store.records(library.collection, ["a", "b"]) == []
    assert (await library.store.delete(library.collection, ["a"])).deleted == 0


async def test_deleting_by_filter_takes_the_documents_that_meet_it(library: Library) -> None:
    await library.write(
        document("draft", "text", "text again", metadata={"status": "Draft", "authors": ["Ann"]}),
        document("final", metadata={"status": "Final", "authors": ["Ann", "Bob"]}),
        document("old", metadata={"status": "Draft"}, updated_at="2001-01-01T00:00:00Z"),
        document("bare"),
    )
    where = parse_filter({"status": "Draft", "updated_at": {"gt": "2010-01-01"}}, library.collection.fields)
    assert where is not None
    assert (await library.store.delete_matching(library.collection, where)).deleted == 1
    assert await library.found() == ["bare", "final", "old"]
    assert (await library.store.delete_matching(library.collection, where)).deleted == 0
    without_ann = parse_filter({"authors": {"ne": "Ann"}}, library.collection.fields)
    assert without_ann is not None
    assert (await library.store.delete_matching(library.collection, without_ann)).deleted == 2
    records = await library.store.list_records(library.collection, "", 10)
    assert [record.id for record in records] == ["final"]
    assert (await library.store.size(library.collection)).passages == 1


async def test_deleting_by_filter_takes_more_than_one_page(library: Library) -> None:
    for first in range(0, 2500, 500):
        await library.write(*(document(f"d{number}", metadata={"pep": number}) for number in range(first, first + 500)))
    where = parse_filter({"pep": {"gte": 3}}, library.collection.fields)
    assert where is not None
    assert (await library.store.delete_matching(library.collection, where)).deleted == 2497
    assert await library.found() == ["d0", "d1", "d2"]


async def test_metadata_comes_back_exactly(library: Library) -> None:
    values: dict[str, Any] = {
        "status": "née \U0001f9ea 'quoted' \"twice\" \\ \u2028 \x01 \t\n",
        "pep": 2**53 + 1,
        "score": 0.1 + 0.2,
        "created": "2015-03-11 13:00:00.5+01:00",
        "draft": False,
        "authors": ["Zoë", "", "Ann", "Ann"],
    }
    await library.declare({"smallest": "integer", "largest": "integer", "tiny": "number", "none": "keyword[]"})
    values |= {"smallest": -(2**63), "largest": 2**63 - 1, "tiny": 5e-324, "none": []}
    written = document("a", metadata=values)
    await library.write(written)
    (passage,) = await library.stored(["a"])
    (record,) = await library.store.records(library.collection, ["a"])
    assert passage.metadata == record.metadata == values
    assert {name: type(value) for name, value in passage.metadata.items()} == {
        name: type(value) for name, value in values.items()
    }


UNUSUAL_IDS = [
    "x" * 512,
    "\U0001f600" * 512,
    "../../etc/passwd",
    "a/b?c=d&e#f",
    "100%25 %2F %",
    'it\'s "quoted" `so`',
    "'; DROP TABLE records; --",
    "日本語 ñandú",
    "ñ",
    "n\u0303",
    "A",
    "a",
    "*",
    "_",
    "-1",
    "0",
]


async def test_any_printable_id_will_do(library: Library) -> None:
    documents = [document(identifier, f"text of {number}") for number, identifier in enumerate(UNUSUAL_IDS)]
    await library.write(*documents)
    assert await library.found() == sorted(UNUSUAL_IDS)
    for written in documents:
        identifier = written.record.id
        assert await library.store.records(library.collection, [identifier]) == [written.record]
        assert await library.stored([identifier]) == written.passages
        assert await library.found({"document_id": identifier}) == [identifier]
    listed = await library.store.list_records(library.collection, "", 100)
    assert sorted(record.id for record in listed) == sorted(UNUSUAL_IDS)
    assert (await library.store.delete(library.collection, UNUSUAL_IDS[:8])).deleted == 8
    assert await library.found() == sorted(UNUSUAL_IDS[8:])


async def test_listing_goes_on_after_a_cursor_and_names_each_once(library: Library) -> None:
    identifiers = ["b", "a", "B", "10", "9", "é", "z", "\U0001f600", "\uffee", "a b"]
    await library.write(*(document(identifier) for identifier in identifiers))
    listed: list[str] = []
    while page := await library.store.list_records(library.collection, listed[-1] if listed else "", 3):
        assert len(page) <= 3
        listed.extend(record.id for record in page)
    assert sorted(listed) == sorted(identifiers)


async def test_a_cursor_holds_while_documents_come_and_go(library: Library) -> None:
    await library.write(*(document(identifier) for identifier in "bdfhjlnp"))
    first = [record.id for record in await library.store.list_records(library.collection, "", 4)]
    await library.store.delete(library.collection, [first[-1]])
    await library.write(document("a"), document("e"))
    rest = [record.id for record in await library.store.list_records(library.collection, first[-1], 10)]
    assert set("bdfhjlnp").difference(first) <= set(rest) <= set("bdfhjlnpae").difference(first)


async def test_content_hashes_are_those_of_existing_documents(library: Library) -> None:
    written = [document(f"d{number}", f"text {number}") for number in range(3)]
    await library.write(*written)
    asked = [f"d{number}" for number in range(5000)]
    hashes = {one.record.id: one.record.content_hash for one in written}
    assert await library.store.content_hashes(library.collection, asked) == hashes
    assert await library.store.content_hashes(library.collection, []) == {}


async def test_passages_are_given_back_under_a_filter_only_where_they_meet_it(library: Library) -> None:
    final, draft = document("a", "one", "two", metadata={"pep": 1}), document("b", metadata={"pep": 2})
    await library.write(final, draft, document("c", metadata={"pep": 1}))
    ids = [passage.id for passage in (*final.passages, *draft.passages)]

    async def found(ids: list[str], raw: dict[str, Any]) -> list[str]:
        passages = await library.store.passages(library.collection, ids, library.parsed(raw))
        return sorted(passage.text for passage in passages)

    assert await found([*ids, "no id at all"], {"pep": 1}) == ["one", "two"]
    assert await found(ids, {"pep": 3}) == []
    assert await found(ids, {"pep": {"in": []}}) == []
    assert await found([], {"pep": 1}) == []


async def test_asking_for_no_ids_gives_nothing(library: Library) -> None:
    await library.write(document("a"))
    assert await library.store.passages(library.collection, []) == []
    assert await library.store.records(library.collection, []) == []
    assert await library.store.passages(library.collection, [passage_id("a", 1), passage_id("b", 0)]) == []


async def test_writers_at_the_same_time_lose_nothing(library: Library) -> None:
    batches = [[document(f"d{writer}-{number}", "text", "text") for number in range(5)] for writer in range(20)]
    versions = await asyncio.gather(*(library.write(*batch) for batch in batches))
    assert len(set(versions)) == 20
    identifiers = sorted(one.record.id for batch in batches for one in batch)
    assert await library.found() == sorted(identifiers * 2)
    records = await library.store.list_records(library.collection, "", 200)
    assert sorted(record.id for record in records) == identifiers


async def test_writers_of_the_same_document_leave_one_of_them_whole(library: Library) -> None:
    rivals = [document("a", *(f"text {writer}" for _ in range(writer))) for writer in range(1, 11)]
    await asyncio.gather(*(library.write(rival) for rival in rivals))
    (record,) = await library.store.records(library.collection, ["a"])
    (winner,) = [rival for rival in rivals if rival.record == record]
    assert await library.stored(["a"]) == winner.passages
    assert await library.found() == ["a"] * len(winner.passages)


async def test_readers_meet_only_whole_documents(library: Library) -> None:
    short, long = document("a", "text one"), document("a", "text two", "text two", "text two")
    await library.write(short)

    async def rewrite() -> None:
        for _ in range(10):
            await library.write(long)
            await library.write(short)

    async def read() -> None:
        while not writing.done():
            assert await library.store.records(library.collection, ["a"]) in ([short.record], [long.record])
            await asyncio.sleep(0)

    writing = asyncio.create_task(rewrite())
    await asyncio.gather(writing, read())
    assert await library.stored(["a"]) == short.passages
