import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.models import Fusion, Match
from service.search.ranking import fuse, rank_leg, relative_scores


def leg(**scores: float) -> list[Match]:
    return [Match(name, score) for name, score in sorted(scores.items(), key=lambda item: -item[1])]


def test_relative_scores_run_from_the_worst_to_the_best_of_a_leg() -> None:
    assert relative_scores(leg(a=9.0, b=5.0, c=1.0)) == {"a": 1.0, "b": 0.5, "c": 0.0}


def test_a_leg_of_equal_scores_counts_fully() -> None:
    assert relative_scores(leg(a=3.0, b=3.0)) == {"a": 1.0, "b": 1.0}


def test_an_empty_leg_has_no_scores() -> None:
    assert relative_scores([]) == {}
    assert list(fuse([], [], 0.7, "relative")) == []


def test_alpha_weighs_the_legs() -> None:
    hits = list(fuse(leg(a=0.9, b=0.5), leg(b=12.0, c=4.0), 0.7, "relative"))
    assert [(hit.id, hit.score) for hit in hits] == [("a", 0.7), ("b", pytest.approx(0.3)), ("c", 0.0)]


def test_raw_leg_scores_stand_in_every_hit() -> None:
    hits = {hit.id: hit for hit in fuse(leg(a=0.9, b=0.5), leg(b=12.0), 0.5, "relative")}
    assert (hits["a"].vector_score, hits["a"].keyword_score) == (0.9, None)
    assert (hits["b"].vector_score, hits["b"].keyword_score) == (0.5, 12.0)


def test_reciprocal_ranks_ignore_the_size_of_scores() -> None:
    small = fuse(leg(a=0.9, b=0.1), leg(b=1.0, c=0.5), 0.5, "rrf")
    large = fuse(leg(a=0.9, b=0.8), leg(b=90.0, c=0.1), 0.5, "rrf")
    assert [(hit.id, hit.score) for hit in small] == [(hit.id, hit.score) for hit in large]


def test_reciprocal_ranks_use_the_constant_60() -> None:
    hits = {hit.id: hit.score for hit in fuse(leg(a=0.9, b=0.1), leg(b=1.0), 0.5, "rrf")}
    assert hits == {"a": 0.5 / 61, "b": pytest.approx(0.5 / 62 + 0.5 / 61)}


def test_ties_are_ordered_by_id() -> None:
    assert [hit.id for hit in fuse(leg(b=1.0, a=1.0), [], 1.0, "relative")] == ["a", "b"]


def test_a_single_leg_keeps_its_own_scores() -> None:
    assert [(hit.id, hit.score) for hit in rank_leg([], leg(a=12.0, b=3.0))] == [("a", 12.0), ("b", 3.0)]


scores = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 50), max_size=8)


@given(vector=scores, keyword=scores, alpha=st.floats(0, 1), fusion=st.sampled_from(["relative", "rrf"]))
def test_every_passage_of_either_leg_appears_once_in_order(
    vector: dict[str, float],
    keyword: dict[str, float],
    alpha: float,
    fusion: Fusion,
) -> None:
    hits = list(fuse(leg(**vector), leg(**keyword), alpha, fusion))
    assert sorted(hit.id for hit in hits) == sorted(vector.keys() | keyword.keys())
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 <= hit.score <= 1 + 1e-9 for hit in hits)
