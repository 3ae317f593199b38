"""The stores agree: the same passages in the same order, under the same filters, with the same scores."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from service.models import Collection, Match
from tests.contract.conftest import OPENERS
from tests.contract.library import Library, document, unit_vectors
from tests.filter_strategies import FIELDS

pytestmark = pytest.mark.anyio

PASSAGES = 400
LIMIT = 50
FILTERS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"status": "a"},
    {"pep": {"gte": 1, "lt": 3}},
    {"created": {"gt": "2015-01-01"}},
    {"any_of": [{"status": "b"}, {"authors": ["x", "y"]}], "none_of": [{"draft": True}]},
    {"score": {"gt": 0.5}, "draft": {"exists": True}},
)


@pytest.fixture(scope="module")
async def libraries(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Mapping[str, Library]]:
    """The same documents in a collection of each store."""
    assert anyio_backend
    written = [document(f"d{number}", f"text {number}", metadata=metadata(number)) for number in range(PASSAGES)]
    async with AsyncExitStack() as stack:
        filled = {}
        for name, opener in OPENERS.items():
            store = await stack.enter_async_context(opener(request, tmp_path_factory.mktemp(name)))
            wanted = Collection(tenant="acme", name="agreement", kind="documents", fields=dict(FIELDS))
            collection = await store.put_collection(wanted, None)
            assert collection is not None
            filled[name] = Library(store, collection)
            await filled[name].write(*written)
        yield filled


def metadata(number: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "status": "abc"[number % 3],
        "pep": number % 5,
        "score": number % 7 / 4,
        "created": f"20{10 + number % 10}-01-01",
        "draft": number % 2 == 0,
        "authors": ["x", "y", "z"][: number % 4],
    }
    return {name: value for place, (name, value) in enumerate(fields.items()) if (number + place) % 4}


@pytest.mark.parametrize("raw", FILTERS, ids=str)
async def test_the_nearest_are_the_same_in_the_same_order(libraries: Mapping[str, Library], raw: Any) -> None:
    for query in unit_vectors("one", "two", "three"):
        expected = await nearest(libraries["memory"], query, raw)
        assert expected
        for name, library in libraries.items():
            found = await nearest(library, query, raw)
            scores = pytest.approx([match.score for match in expected], abs=1e-3)
            assert [match.score for match in found] == scores, name
            exactly = {match.id: match.score for match in expected}
            for place, match in enumerate(found):  # ids may change places where scores are as good as equal
                assert exactly.get(match.id, expected[-1].score) == pytest.approx(expected[place].score, abs=1e-3), name


@pytest.mark.parametrize("raw", FILTERS, ids=str)
async def test_as_many_match_words(libraries: Mapping[str, Library], raw: Any) -> None:
    counts = {}
    for name, library in libraries.items():
        found = await library.store.matching(library.collection, "text", PASSAGES, library.parsed(raw))
        counts[name] = sorted(match.id for match in found)
    assert all(ids == counts["memory"] for ids in counts.values())


async def nearest(library: Library, query: Any, raw: Any) -> list[Match]:
    return await library.store.nearest(library.collection, query, LIMIT, library.parsed(raw))
