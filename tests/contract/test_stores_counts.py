"""Every store counts exactly what meets a filter, and knows the values of its fields."""

from collections import Counter
from random import Random
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import given

from service.models import Collection, Scalar
from service.stores.base import Store, ValueCount
from service.stores.filters import meets, parse_filter
from tests.contract.library import Library, document, unit_vectors
from tests.filter_strategies import FIELDS, allowed_filters

pytestmark = pytest.mark.anyio

RANDOM = Random(485)


def random_metadata() -> dict[str, Any]:
    values = {
        "status": RANDOM.choice("aaabbc"),
        "pep": RANDOM.randrange(5),
        "score": RANDOM.choice([0.0, 0.5, 1.0, 1.5, 2.0]),
        "created": RANDOM.choice(
            ["2015-01-01T00:00:00Z", "2015-01-01T00:00:00.000001Z", "2015-01-01T02:00:00+02:00", "2015-01-02"]
        ),
        "draft": RANDOM.choice([True, True, False]),
        "authors": RANDOM.choices("abc", k=RANDOM.randrange(4)),
    }
    return {name: value for name, value in values.items() if RANDOM.random() < 0.7}


CANONICAL_DATES = {"2015-01-01T02:00:00+02:00": "2015-01-01T00:00:00Z", "2015-01-02": "2015-01-02T00:00:00Z"}
CROWD = [
    document(f"d{number:02}", *["text"] * (1 + number % 3), title=f"T{number % 7}", metadata=random_metadata())
    for number in range(60)
]


def canonical(metadata: dict[str, Any]) -> dict[str, Any]:
    if "created" not in metadata:
        return metadata
    return {**metadata, "created": CANONICAL_DATES.get(metadata["created"], metadata["created"])}


@pytest.fixture(scope="module")
async def crowd(store: Store) -> Library:
    """Sixty documents of random metadata, of one to three passages each."""
    entry = Collection(tenant="acme", name=f"c{token_hex(8)}", kind="documents", fields=dict(FIELDS), fingerprint="f")
    created = await store.put_collection(entry, None)
    assert created is not None
    library = Library(store, created)
    await library.write(*CROWD)
    return library


@given(raw=allowed_filters(3))
async def test_any_filter_counts_the_passages_that_meet_it(crowd: Library, raw: dict[str, Any]) -> None:
    where = parse_filter(raw, FIELDS)
    met = [one for one in CROWD if meets(where, canonical(one.record.metadata))]
    assert await crowd.store.count(crowd.collection, where) == sum(len(one.passages) for one in met)


async def test_without_a_filter_all_passages_are_counted(crowd: Library) -> None:
    assert await crowd.store.count(crowd.collection, None) == sum(len(one.passages) for one in CROWD)


async def test_built_in_fields_are_counted_too(crowd: Library) -> None:
    assert await crowd.store.count(crowd.collection, crowd.parsed({"document_id": "d02"})) == 3
    assert await crowd.store.count(crowd.collection, crowd.parsed({"position": {"gte": 1}})) == 60
    assert await crowd.store.count(crowd.collection, crowd.parsed({"updated_at": {"lt": "2024-05-01"}})) == 0


def expected_values(field: str) -> Counter[Scalar]:
    counts: Counter[Scalar] = Counter()
    for one in CROWD:
        value = one.record.metadata.get(field, ())
        for each in {*value} if isinstance(value, list) else {value} if value != () else ():
            counts[each] += len(one.passages)
    return counts


@pytest.mark.parametrize("field", ["status", "draft", "authors"])
async def test_values_come_with_the_number_of_passages_that_have_them(crowd: Library, field: str) -> None:
    found = await crowd.store.values(crowd.collection, field, 100)
    assert {one.value: one.passages for one in found} == expected_values(field)
    assert [type(one.value) for one in found] == [type(value) for value in [*expected_values(field)][: len(found)]]
    assert [one.passages for one in found] == sorted((one.passages for one in found), reverse=True)


async def test_of_many_values_the_commonest_come(crowd: Library) -> None:
    assert await crowd.store.values(crowd.collection, "status", 1) == [
        ValueCount(*expected_values("status").most_common(1)[0])
    ]
    most = await crowd.store.values(crowd.collection, "document_id", 20)
    assert [one.passages for one in most] == [3] * 20  # which of the twenty that have three comes first is left open
    assert {one.value for one in most} == {f"d{number:02}" for number in range(2, 60, 3)}


async def test_titles_are_values_too(crowd: Library) -> None:
    found = await crowd.store.values(crowd.collection, "title", 100)
    assert {one.value for one in found} == {f"T{number}" for number in range(7)}


async def test_a_value_that_an_array_repeats_counts_once(library: Library) -> None:
    await library.write(document("a", metadata={"authors": ["x", "x", "y"]}), document("b", metadata={"authors": []}))
    found = await library.store.values(library.collection, "authors", 10)
    assert {(one.value, one.passages) for one in found} == {("x", 1), ("y", 1)}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("pep", (0, 4)),
        ("score", (0.0, 2.0)),
        ("created", ("2015-01-01T00:00:00Z", "2015-01-02T00:00:00Z")),
        ("position", (0, 2)),
        ("updated_at", ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z")),
    ],
)
async def test_bounds_are_the_smallest_and_the_largest_value(
    crowd: Library, field: str, expected: tuple[Scalar, Scalar]
) -> None:
    assert await crowd.store.bounds(crowd.collection, field) == expected


async def test_bounds_are_exact_at_the_ends_of_what_a_field_holds(library: Library) -> None:
    await library.write(
        document("a", metadata={"pep": 2**63 - 1, "score": 1e300, "created": "9999-12-31T23:59:59.999999Z"}),
        document("b", metadata={"pep": -(2**63), "score": -2, "created": "0001-01-01"}),
        document("c", metadata={"pep": 2**53 + 1, "score": 0.5}),
    )
    store, collection = library.store, library.collection
    assert await store.bounds(collection, "pep") == (-(2**63), 2**63 - 1)
    assert await store.bounds(collection, "score") == (-2.0, 1e300)
    assert await store.bounds(collection, "created") == ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")


async def test_there_are_no_values_nor_bounds_where_no_passage_has_the_field(library: Library) -> None:
    await library.write(document("a"))
    for field in ("pep", "score", "created"):
        assert await library.store.bounds(library.collection, field) is None
    for field in ("status", "draft", "authors"):
        assert await library.store.values(library.collection, field, 10) == []


async def test_what_was_replaced_or_deleted_is_counted_no_more(library: Library) -> None:
    await library.write(
        document("a", "one", "two", metadata={"status": "x", "pep": 1}),
        document("b", metadata={"status": "y", "pep": 9, "draft": True}),
        document("c", metadata={"status": "x", "pep": 5}),
    )
    await library.write(document("a", "one", metadata={"status": "x", "pep": 3}))
    await library.store.delete(library.collection, ["b"])
    store, collection = library.store, library.collection
    assert await store.count(collection, None) == 2
    assert await store.values(collection, "status", 10) == [ValueCount("x", 2)]
    assert await store.values(collection, "draft", 10) == []
    assert await store.bounds(collection, "pep") == (3, 5)


async def test_an_exact_search_finds_what_the_filter_allows_in_the_order_of_similarity(crowd: Library) -> None:
    where, query = crowd.parsed({"status": "a"}), unit_vectors("query")[0]
    store, collection = crowd.store, crowd.collection
    exact = await store.nearest(collection, query, 100, where, exact=True)
    met = [one for one in CROWD if one.record.metadata.get("status") == "a"]
    expected = sorted(float(score) for one in met for score in one.vectors @ query)[::-1]
    assert [match.score for match in exact] == pytest.approx(expected, abs=1e-4)
    assert len(await store.nearest(collection, query, 5, where, exact=True)) == 5


async def test_the_commonest_of_very_many_values_are_found(library: Library) -> None:
    many = [
        document(f"d{number}", "one", "two", title=f"T{number}", metadata={"authors": [f"n{number}", "all"]})
        for number in range(600)
    ]
    await library.write(*many, document("x", "1", "2", "3", title="T7", metadata={"authors": ["n7", "n7"]}))
    store, collection = library.store, library.collection
    assert await store.values(collection, "title", 1) == [ValueCount("T7", 5)]
    assert await store.values(collection, "authors", 2) == [ValueCount("all", 1200), ValueCount("n7", 5)]
    assert len(await store.values(collection, "authors", 256)) == 256
    assert await store.values(collection, "document_id", 1) == [ValueCount("x", 3)]
