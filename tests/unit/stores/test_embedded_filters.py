"""Filters as Qdrant evaluates them agree with their meaning where its own types are coarser."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.stores.embedded.documents import StoredDocument
from service.stores.embedded.shard import Shard
from service.stores.filters import Condition, Filter, Operator, meets
from tests.contract.library import DIMENSIONS, document

SMALLEST, LARGEST = -(2**63), 2**63 - 1
NEIGHBOURHOODS = [0, 2**53, -(2**53), 2**54, 2**60, -(2**60), SMALLEST, LARGEST]
VALUES = sorted(
    {
        value
        for centre in NEIGHBOURHOODS
        for distance in (-2000, -700, -513, -3, -2, -1, 0, 1, 2, 3, 512, 1025, 3000)
        if SMALLEST <= (value := centre + distance) <= LARGEST
    }
)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shard]:
    opened = Shard.create(tmp_path_factory.mktemp("shard") / "shard", DIMENSIONS, {"pep": "integer"})
    documents = [document(str(value), metadata={"pep": value}) for value in VALUES]
    stored = [StoredDocument(seq, one.record, one.passages, one.vectors) for seq, one in enumerate(documents, 1)]
    opened.apply(opened.prepare(stored, {"pep": "integer"}), [], set(), len(stored))
    yield opened
    opened.close()


@pytest.mark.parametrize("operator", ["gt", "gte", "lt", "lte", "in", "not_in"])
@pytest.mark.parametrize("bound", [value for value in VALUES if abs(value) > 2**52 or abs(value) < 3])
def test_whole_numbers_compare_exactly_whatever_their_size(shard: Shard, operator: Operator, bound: int) -> None:
    where = Filter((Condition("pep", "integer", operator, (bound,)),))
    expected = {str(value) for value in VALUES if meets(where, {"pep": value})}
    assert shard.document_ids(where, 1000) == expected


@settings(max_examples=50)
@given(bound=st.integers(SMALLEST, LARGEST), operator=st.sampled_from(["gt", "gte", "lt", "lte"]))
def test_any_bound_divides_whole_numbers_exactly(shard: Shard, operator: Operator, bound: int) -> None:
    where = Filter((Condition("pep", "integer", operator, (bound,)),))
    expected = {str(value) for value in VALUES if meets(where, {"pep": value})}
    assert shard.document_ids(where, 1000) == expected


def test_a_contradiction_inside_a_filter_finds_nothing(shard: Shard) -> None:
    nothing = Filter(is_contradiction=True)
    assert shard.document_ids(nothing, 1000) == set()
    assert shard.document_ids(Filter(any_of=((nothing,),)), 1000) == set()
    assert len(shard.document_ids(Filter(none_of=(nothing,)), 1000)) == len(VALUES)
