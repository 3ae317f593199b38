import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.commands.measures import first_ranks, mean, ndcg, percentile, recall, reciprocal_rank

GRADES = {"a": 2.0, "b": 1.0, "c": 1.0, "z": 0.0}
rankings = st.lists(st.sampled_from("abcdefz"), unique=True)


def test_a_document_counts_once_at_its_best_rank() -> None:
    assert first_ranks(["b", "a", "b", "c", "a"]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("ranking", "k", "expected"),
    [
        (["a", "b", "c"], 3, 1.0),
        (["a", "x", "b"], 2, 1 / 3),
        (["z", "x"], 2, 0.0),
        ([], 10, 0.0),
    ],
)
def test_recall_is_the_share_of_the_relevant_among_the_first(ranking: list[str], k: int, expected: float) -> None:
    assert recall(ranking, GRADES, k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ranking", "k", "expected"),
    [
        (["a", "b", "c"], 10, 1.0),
        (["a", "c", "b"], 10, 1.0),
        (["b", "a"], 10, (1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3) + 1 / 2)),
        (["a"], 1, 1.0),
        (["x", "b"], 1, 0.0),
        (["z"], 10, 0.0),
        ([], 10, 0.0),
    ],
)
def test_ndcg_takes_the_grade_as_gain(ranking: list[str], k: int, expected: float) -> None:
    assert ndcg(ranking, GRADES, k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ranking", "expected"), [(["a"], 1.0), (["z", "x", "c", "a"], 1 / 3), (["z"], 0.0), ([], 0.0)]
)
def test_the_reciprocal_rank_is_that_of_the_first_relevant(ranking: list[str], expected: float) -> None:
    assert reciprocal_rank(ranking, GRADES) == pytest.approx(expected)


def test_where_nothing_is_relevant_all_measures_are_zero() -> None:
    assert (recall(["a"], {}, 10), ndcg(["a"], {"a": 0}, 10), reciprocal_rank(["a"], {})) == (0, 0, 0)


@given(rankings, st.integers(1, 10))
def test_measures_lie_between_0_and_1_and_the_ideal_order_is_best(ranking: list[str], k: int) -> None:
    ideal = sorted(ranking, key=lambda document: -GRADES.get(document, 0))
    assert 0 <= ndcg(ranking, GRADES, k) <= ndcg(ideal, GRADES, k) + 1e-12 <= 1 + 1e-9
    assert recall(ranking, GRADES, k) <= recall(ranking, GRADES, k + 1) <= 1


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([3.0, 1.0, 2.0], 99, 3.0),
        ([float(n) for n in range(1, 101)], 95, 95.0),
        ([7.0], 50, 7.0),
        ([7.0], 0, 7.0),
        ([], 50, 0.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_the_mean_of_nothing_is_zero() -> None:
    assert (mean([]), mean([1, 2])) == (0, 1.5)
