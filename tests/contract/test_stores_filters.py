"""Every store gives, under a filter, exactly the passages that meet it."""

from random import Random
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import given

from service.models import Collection
from service.stores.base import EmbeddedDocument, Store
from service.stores.filters import meets, parse_filter
from tests.contract.library import Library, document, unit_vectors
from tests.filter_strategies import FIELDS, allowed_filters

pytestmark = pytest.mark.anyio

SHELF: dict[str, dict[str, Any]] = {
    "a": {
        "status": "Final",
        "pep": 8,
        "score": 0.5,
        "created": "2001-07-05",
        "draft": False,
        "authors": ["Guido", "Barry"],
    },
    "b": {
        "status": "final",
        "pep": -8,
        "score": -1.5,
        "created": "2015-03-11T12:00:00Z",
        "draft": True,
        "authors": ["Guido"],
    },
    "c": {"status": "Draft", "pep": 2**53, "score": 2, "created": "2015-03-11T13:00:00+01:00", "authors": []},
    "d": {
        "status": "",
        "pep": 2**53 + 1,
        "score": 1e300,
        "created": "2015-03-11T12:00:00.000001",
        "authors": ["Barry", "Łukasz"],
    },
    "e": {"status": 'it\'s "x" OR 1=1', "pep": 2**63 - 1, "created": "9999-12-31T23:59:59.999999Z", "draft": True},
    "f": {"status": "Łódź", "pep": -(2**63), "created": "0001-01-01"},
    "g": {},
}


@pytest.fixture(scope="module")
async def shelf(store: Store) -> Library:
    """A few documents with a value of every type, some absent; `a` has two passages."""
    return await filled(store, [shelved(identifier, values) for identifier, values in SHELF.items()])


def shelved(identifier: str, values: dict[str, Any]) -> EmbeddedDocument:
    texts = ["text", "text again"] if identifier == "a" else ["text"]
    year = 2020 + ord(identifier) - ord("a")
    return document(
        identifier, *texts, title=f"Title {identifier.upper()}", metadata=values, updated_at=f"{year}-01-01T00:00:00Z"
    )


async def filled(store: Store, documents: list[EmbeddedDocument]) -> Library:
    entry = Collection(tenant="acme", name=f"c{token_hex(8)}", kind="documents", fields=dict(FIELDS))
    created = await store.put_collection(entry, None)
    assert created is not None
    library = Library(store, created)
    await library.write(*documents)
    return library


NOON = "2015-03-11T12:00:00Z"
TABLE: list[tuple[dict[str, Any], str]] = [
    ({}, "abcdefg"),
    ({"status": "Final"}, "a"),
    ({"status": {"eq": "final"}}, "b"),
    ({"status": ["Final", "Draft", "Unknown"]}, "ac"),
    ({"status": "Unknown"}, ""),
    ({"status": ""}, "d"),
    ({"status": 'it\'s "x" OR 1=1'}, "e"),
    ({"status": "Łódź"}, "f"),
    ({"status": {"ne": "Final"}}, "bcdefg"),
    ({"status": {"not_in": ["Final", "final", ""]}}, "cefg"),
    ({"status": {"exists": True}}, "abcdef"),
    ({"status": {"exists": False}}, "g"),
    ({"status": {"exists": True, "ne": "Final"}}, "bcdef"),
    ({"status": []}, ""),
    ({"pep": 8}, "a"),
    ({"pep": [8, -8, 9]}, "ab"),
    ({"pep": 2**53}, "c"),
    ({"pep": 2**53 + 1}, "d"),
    ({"pep": {"gt": 2**53}}, "de"),
    ({"pep": {"gte": 2**53 + 1}}, "de"),
    ({"pep": {"lt": 2**53 + 1}}, "abcf"),
    ({"pep": {"lte": 2**53}}, "abcf"),
    ({"pep": {"gte": 2**63 - 1}}, "e"),
    ({"pep": {"gt": -(2**63)}}, "abcde"),
    ({"pep": {"lte": -(2**63)}}, "f"),
    ({"pep": {"gte": -8, "lt": 8}}, "b"),
    ({"pep": {"gte": -8, "lte": 8, "ne": 8}}, "b"),
    ({"pep": {"ne": 8}}, "bcdefg"),
    ({"pep": {"not_in": [8, 2**53 + 1]}}, "bcefg"),
    ({"pep": {"exists": False}}, "g"),
    ({"score": 0.5}, "a"),
    ({"score": 2}, "c"),
    ({"score": [2.0, -1.5]}, "bc"),
    ({"score": {"ne": 2}}, "abdefg"),
    ({"score": {"not_in": [2, 0.5]}}, "bdefg"),
    ({"score": {"gt": 0.5}}, "cd"),
    ({"score": {"gte": 0.5, "lt": 2}}, "a"),
    ({"score": {"lt": 0}}, "b"),
    ({"score": {"gt": 1e299}}, "d"),
    ({"score": {"exists": True}}, "abcd"),
    ({"created": "2001-07-05"}, "a"),
    ({"created": "2001-07-05T02:00:00+02:00"}, "a"),
    ({"created": NOON}, "bc"),
    ({"created": [NOON, "0001-01-01"]}, "bcf"),
    ({"created": {"gt": NOON}}, "de"),
    ({"created": {"gte": "2015-03-11T12:00:00.000001Z"}}, "de"),
    ({"created": {"lte": NOON}}, "abcf"),
    ({"created": {"lt": "2015-03-11T10:00:00-02:00"}}, "af"),
    ({"created": {"gte": "2015-03-11", "lt": "2015-03-12"}}, "bcd"),
    ({"created": {"ne": NOON}}, "adefg"),
    ({"created": {"not_in": [NOON, "2001-07-05"]}}, "defg"),
    ({"created": {"gte": "9999-12-31T23:59:59.999999Z"}}, "e"),
    ({"created": {"gt": "0001-01-01"}}, "abcde"),
    ({"created": {"exists": False}}, "g"),
    ({"draft": True}, "be"),
    ({"draft": False}, "a"),
    ({"draft": {"ne": True}}, "acdfg"),
    ({"draft": [True, False]}, "abe"),
    ({"draft": {"not_in": [True, False]}}, "cdfg"),
    ({"draft": {"exists": True}}, "abe"),
    ({"authors": "Guido"}, "ab"),
    ({"authors": {"contains": "Barry"}}, "ad"),
    ({"authors": {"contains": "Bar"}}, ""),
    ({"authors": ["Guido", "Łukasz"]}, "abd"),
    ({"authors": "Guido", "any_of": [{"authors": "Barry"}]}, "a"),
    ({"authors": {"contains": "Guido", "ne": "Barry"}}, "b"),
    ({"authors": {"ne": "Guido"}}, "cdefg"),
    ({"authors": {"not_in": ["Guido", "Barry"]}}, "cefg"),
    ({"authors": {"exists": True}}, "abd"),
    ({"authors": {"exists": False}}, "cefg"),
    ({"document_id": "c"}, "c"),
    ({"document_id": {"ne": "c"}}, "abdefg"),
    ({"title": ["Title A", "Title B", "title c"]}, "ab"),
    ({"position": 0, "document_id": "a"}, "a"),
    ({"position": {"gt": 0}}, "a"),
    ({"updated_at": {"gte": "2024-01-01"}}, "efg"),
    ({"updated_at": {"lt": "2021-01-01T01:00:00+01:00"}}, "a"),
    ({"status": "Final", "pep": 8}, "a"),
    ({"status": "Final", "pep": 9}, ""),
    ({"any_of": [{"status": "Final"}, {"draft": True}]}, "abe"),
    ({"any_of": [{"status": "Final", "pep": 9}, {"draft": True, "pep": {"gt": 0}}]}, "e"),
    ({"none_of": [{"status": "Final"}, {"draft": True}]}, "cdfg"),
    ({"none_of": [{"pep": {"gt": 0}}]}, "bfg"),
    ({"none_of": [{"pep": {"gt": 0}, "draft": True}]}, "abcdfg"),
    ({"none_of": [{"any_of": [{"pep": {"gt": 0}}, {"status": {"exists": False}}]}]}, "bf"),
    ({"any_of": [{"none_of": [{"pep": {"lt": 0}}]}, {"authors": "Guido"}]}, "abcdeg"),
    ({"any_of": [{"any_of": [{"none_of": [{"score": {"gte": 0}}]}, {"pep": 8}], "draft": {"exists": True}}]}, "abe"),
    ({"draft": {"exists": True}, "any_of": [{"pep": {"lt": 0}}, {"score": {"gt": 0}}], "none_of": [{"pep": -8}]}, "a"),
]


@pytest.mark.parametrize(("raw", "expected"), TABLE, ids=lambda value: str(value)[:80])
async def test_a_filter_finds_the_documents_that_meet_it(shelf: Library, raw: dict[str, Any], expected: str) -> None:
    assert "".join(sorted(set(await shelf.found(raw)))) == expected


async def test_a_thousand_values_are_looked_for(shelf: Library) -> None:
    assert await shelf.found({"status": [f"unknown {number}" for number in range(999)] + ["Draft"]}) == ["c"]
    assert await shelf.found({"pep": {"not_in": list(range(999)), "lt": 100}}) == ["b", "f"]


def random_metadata(random: Random) -> dict[str, Any]:
    values = {
        "status": random.choice("abc"),
        "pep": random.randrange(5),
        "score": random.choice([0.0, 0.5, 1.0, 1.5, 2.0]),
        "created": random.choice(["2015-01-01T00:00:00Z", "2015-01-01T00:00:00.000001Z", "2015-01-02T00:00:00Z"]),
        "draft": random.choice([True, False]),
        "authors": random.choices("abc", k=random.randrange(4)),
    }
    return {name: value for name, value in values.items() if random.random() < 0.7}


RANDOM = Random(484)
CROWD = [document(f"d{number:02}", metadata=random_metadata(RANDOM)) for number in range(60)]


@pytest.fixture(scope="module")
async def crowd(store: Store) -> Library:
    """Sixty documents of random metadata."""
    return await filled(store, CROWD)


@given(raw=allowed_filters(3))
async def test_any_filter_finds_exactly_the_passages_that_meet_it(crowd: Library, raw: dict[str, Any]) -> None:
    where = parse_filter(raw, FIELDS)
    matches = await crowd.store.nearest(crowd.collection, unit_vectors("any")[0], 100, where)
    expected = [one.record.id for one in CROWD if meets(where, one.record.metadata)]
    assert sorted(await crowd.documents_of(matches)) == expected
