"""The planner: what it makes of a filter and of what is known."""

from typing import Any

import pytest

from service.models import FieldType
from service.search.planner import Planned, Thresholds, fields_of, plan
from service.search.planning import WEAVIATE
from service.search.statistics import Histogram, Statistics, ValueCounts
from service.stores.filters import Filter, parse_filter
from service.stores.weaviate.schema import FLAT_SEARCH_CUTOFF

FIELDS: dict[str, FieldType] = {
    "status": "keyword",
    "authors": "keyword[]",
    "draft": "boolean",
    "pep": "integer",
    "score": "number",
    "created": "date",
    "site": "keyword",
}
STATISTICS = Statistics(
    version="v1",
    total=1000,
    fields={
        "status": ValueCounts({"Final": 600, "Draft": 300, "Active": 100}, others=0, present=1000),
        "authors": ValueCounts({"Guido": 500, "Barry": 200}, others=50, present=800),
        "draft": ValueCounts({True: 10, False: 890}, others=0, present=900),
        "pep": Histogram((0, 100, 200), (500, 0, 400), 299),
        "score": Histogram((0.0, 1.0), (100, 900), 2.0),
        "created": Histogram(("2000-01-01T00:00:00Z", "2010-01-01T00:00:00Z"), (800, 200), "2020-01-01T00:00:00Z"),
    },
    is_proof=True,
)
THRESHOLDS = Thresholds(exact_matches=100)


def planned(
    raw: dict[str, Any] | None,
    statistics: Statistics | None = STATISTICS,
    thresholds: Thresholds = THRESHOLDS,
    *,
    is_current: bool = True,
) -> Planned:
    return plan(parse_filter(raw, FIELDS), statistics, thresholds, is_current=is_current)


@pytest.mark.parametrize(
    ("raw", "matches"),
    [
        ({"status": "Final"}, 600),
        ({"status": ["Draft", "Active"]}, 400),
        ({"status": {"ne": "Final"}}, 400),
        ({"draft": {"exists": False}}, 100),
        ({"draft": {"exists": True}}, 900),
        ({"draft": {"ne": True}}, 990),
        ({"authors": "Barry"}, 200),
        ({"authors": "somebody else"}, 50),
        ({"authors": ["Guido", "Barry"]}, 800 * (1 - 3 / 8 * 6 / 8)),
        ({"pep": {"lt": 50}}, 250),
        ({"pep": {"lte": 49}}, 250),
        ({"pep": {"gte": 50}}, 250 + 400),
        ({"pep": {"gte": 25, "lt": 75}}, 250),
        ({"pep": {"gte": 150}}, 400),
        ({"pep": 7}, 5),
        ({"pep": {"exists": True}}, 900),
        ({"score": {"gte": 1}}, 900),
        ({"score": {"gt": 0.5, "lte": 1.5}}, 500),
        ({"created": {"gte": "2015-01-01"}}, 100),
        ({"created": {"lt": "2010-01-01"}}, 800),
        ({"status": "Final", "draft": False}, 600 * 0.89),
        ({"any_of": [{"status": "Active"}, {"score": {"lt": 1}}]}, 1000 * (1 - 0.9 * 0.9)),
        ({"none_of": [{"status": "Final", "score": {"gte": 1}}]}, 1000 - 540),
    ],
    ids=str,
)
def test_estimates_follow_from_the_statistics(raw: dict[str, Any], matches: float) -> None:
    assert planned(raw).plan.estimated_matches == pytest.approx(matches, abs=2)


@pytest.mark.parametrize(
    "raw",
    [
        {"status": "Unheard of"},
        {"pep": 300},
        {"pep": {"gt": 299}},
        {"pep": {"lt": 0}},
        {"pep": {"gte": 100, "lt": 200}},
        {"pep": 150},
        {"score": {"gt": 2}},
        {"created": {"lt": "2000-01-01"}},
        {"status": "Final", "created": {"gt": "2020-01-01"}},
        {"any_of": [{"status": "Unheard of"}, {"pep": {"gt": 299}}]},
        {"site": "of which nothing is known", "status": "Unheard of"},
    ],
    ids=str,
)
def test_a_zero_in_current_statistics_is_proof_and_in_others_it_is_not(raw: dict[str, Any]) -> None:
    assert planned(raw).is_empty
    assert not planned(raw, is_current=False).is_empty
    moved = Statistics(STATISTICS.version, STATISTICS.total, STATISTICS.fields, is_proof=False)
    assert not planned(raw, moved).is_empty


@pytest.mark.parametrize(
    "raw",
    [
        {"authors": "one of the others, perhaps"},
        {"status": {"ne": "Unheard of"}},
        {"pep": {"gte": 299}},
        {"pep": {"lte": 0}},
        {"score": 2},
        {"created": {"gte": "2020-01-01"}},
        {"any_of": [{"status": "Unheard of"}, {"status": "Active", "pep": 3}]},
        {"none_of": [{"status": "Final"}, {"pep": {"gte": 0}}]},
    ],
    ids=str,
)
def test_what_may_match_is_never_taken_for_empty(raw: dict[str, Any]) -> None:
    assert not planned(raw).is_empty


def test_a_contradiction_is_empty_without_any_statistics() -> None:
    made = planned({"status": "Final", "none_of": [{"status": "Final"}]}, None, is_current=False)
    assert (made.plan.strategy, made.plan.estimated_matches) == ("empty", 0)


@pytest.mark.parametrize(
    ("raw", "strategy"),
    [
        (None, "unfiltered"),
        ({"status": "Active"}, "exact"),
        ({"status": "Draft"}, "filtered"),
        ({"site": "unknown"}, "filtered"),
        ({"site": "unknown", "status": "Active"}, "exact"),
    ],
    ids=str,
)
def test_few_matches_are_scanned_and_many_searched_with_the_filter(raw: dict[str, Any] | None, strategy: str) -> None:
    assert planned(raw).plan.strategy == strategy


def test_without_statistics_the_index_is_searched_with_the_filter() -> None:
    made = planned({"status": "Active"}, None)
    assert (made.plan.strategy, made.plan.estimated_matches, made.fraction) == ("filtered", None, None)
    assert [(one.field, one.estimate) for one in made.plan.conditions] == [("status", None)]


def test_conditions_come_most_selective_first_and_the_unknown_last() -> None:
    raw = {
        "status": "Final",
        "site": "unknown",
        "draft": True,
        "pep": {"lt": 50},
        "any_of": [{"authors": "x"}, {"score": 3}],
    }
    made = planned(raw)
    told = [(one.field, one.operator, one.estimate, one.fraction) for one in made.plan.conditions]
    assert told == [
        ("draft", "in", 10, 0.01),
        ("any_of", "any_of", 50, 0.05),
        ("pep", "lte", 250, 0.25),
        ("status", "in", 600, 0.6),
        ("site", "in", None, None),
    ]
    assert made.where
    assert [one.field for one in made.where.conditions] == ["draft", "pep", "status", "site"]


def test_ordering_keeps_all_that_was_demanded() -> None:
    where = parse_filter({"status": "Final", "draft": True, "none_of": [{"pep": 3, "score": 1}]}, FIELDS)
    made = plan(where, STATISTICS, THRESHOLDS, is_current=True)
    assert where
    assert made.where
    again = Filter(
        tuple(sorted(made.where.conditions)), tuple(sorted(made.where.any_of)), tuple(sorted(made.where.none_of))
    )
    assert again == where


def test_where_the_store_decides_itself_a_plan_is_an_expectation() -> None:
    advice = Thresholds(exact_matches=100, is_expected=True)
    assert planned({"status": "Active"}, thresholds=advice).plan.expected
    assert planned({"status": "Final"}, None, thresholds=advice).plan.expected
    assert not planned({"status": "Unheard of"}, thresholds=advice).plan.expected  # nothing is asked of the store


def test_an_empty_collection_has_nothing_to_find() -> None:
    nothing = Statistics("v1", 0, {"status": ValueCounts({}, 0, 0), "pep": Histogram()}, is_proof=True)
    for raw in ({"status": "Final"}, {"pep": {"gte": 1}}, {"pep": 1}, {"status": {"ne": "Final"}}):
        made = planned(raw, nothing)
        assert made.is_empty
        assert made.fraction == 0


def test_the_fields_of_nested_filters_are_found() -> None:
    where = parse_filter({"status": "a", "any_of": [{"pep": 1}, {"none_of": [{"score": 1, "draft": True}]}]}, FIELDS)
    assert where
    assert fields_of(where) == {"status", "pep", "score", "draft"}


def test_what_is_expected_of_weaviate_is_what_its_classes_say() -> None:
    assert WEAVIATE.exact_matches == FLAT_SEARCH_CUTOFF
