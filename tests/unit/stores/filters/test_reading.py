"""Filters: what is refused and where, and what is one form."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from service.errors import InvalidRequest
from service.models import FieldType
from service.stores.filters import Condition, Filter, canonical_value, meets, parse_filter

FIELDS: Mapping[str, FieldType] = {
    "status": "keyword",
    "pep": "integer",
    "score": "number",
    "created": "date",
    "draft": "boolean",
    "authors": "keyword[]",
}
NOTHING = Filter(is_contradiction=True)


def parsed(raw: object) -> Filter | None:
    return parse_filter(raw, FIELDS)


def nested(depth: int) -> dict[str, Any]:
    return {"pep": {"gt": 1}} if depth == 1 else {"any_of": [nested(depth - 1), {"status": "Final"}]}


REFUSED = [
    ("all of it", "/filters", "object"),
    ([], "/filters", "object"),
    ({"colour": 1}, "/filters/colour", "'colour'. Declared fields: authors, created, draft, pep, score, status."),
    ({"text": "x"}, "/filters/text", "no field"),
    ({"a/b~c": 1}, "/filters/a~1b~0c", "no field"),
    ({"bad\ud800": 1}, "/filters/bad\\ud800", "no field"),
    ({"status": None}, "/filters/status", "exists"),
    ({"status": {}}, "/filters/status", "operator"),
    ({"status": {"like": "F%"}}, "/filters/status/like", "unknown operator"),
    ({"status": {"gt": "F"}}, "/filters/status/gt", "does not fit"),
    ({"status": {"contains": "F"}}, "/filters/status/contains", "does not fit"),
    ({"draft": {"lt": True}}, "/filters/draft/lt", "does not fit"),
    ({"status": 3}, "/filters/status", "string"),
    ({"status": "a\0b"}, "/filters/status", "NUL"),
    ({"status": "a\ud800"}, "/filters/status", "surrogates"),
    ({"status": ["Final", 3]}, "/filters/status/1", "string, not a whole number"),
    ({"status": {"eq": ["Final"]}}, "/filters/status/eq", "one value"),
    ({"status": {"in": "Final"}}, "/filters/status/in", "array"),
    ({"status": {"exists": "yes"}}, "/filters/status/exists", "true or false"),
    ({"pep": True}, "/filters/pep", "whole number"),
    ({"pep": 8.0}, "/filters/pep", "whole number"),
    ({"pep": 2**63}, "/filters/pep", "64 bits"),
    ({"pep": "8"}, "/filters/pep", "whole number"),
    ({"score": True}, "/filters/score", "number"),
    ({"score": float("nan")}, "/filters/score", "finite"),
    ({"score": 10**400}, "/filters/score", "finite"),
    ({"draft": 1}, "/filters/draft", "true or false"),
    ({"created": 2015}, "/filters/created", "date"),
    ({"created": "yesterday"}, "/filters/created", "ISO 8601"),
    ({"created": "2015-02-30"}, "/filters/created", "exists"),
    ({"created": "0001-01-01T00:00:00+02:00"}, "/filters/created", "years"),
    ({"created": {"gte": ["2015-01-01"]}}, "/filters/created/gte", "one value"),
    ({"authors": {"gt": "A"}}, "/filters/authors/gt", "does not fit"),
    ({"authors": {"contains": ["A", "B"]}}, "/filters/authors/contains", "one value"),
    ({"authors": {"in": [["A"]]}}, "/filters/authors/in/0", "string, not an array"),
    ({"position": "first"}, "/filters/position", "whole number"),
    ({"any_of": {"status": "Final"}}, "/filters/any_of", "array"),
    ({"any_of": [{"status": "Final"}, 3]}, "/filters/any_of/1", "object"),
    ({"none_of": [{"any_of": [{"pep": "x"}]}]}, "/filters/none_of/0/any_of/0/pep", "whole number"),
    (nested(5), "/filters/any_of/0/any_of/0/any_of/0/any_of/0", "4 deep"),
    ({"any_of": [{"pep": number} for number in range(33)]}, "/filters/any_of/32/pep", "32 conditions"),
    ({"pep": list(range(1001))}, "/filters/pep", "1000 values"),
    ({"any_of": [{"pep": list(range(600))}, {"pep": list(range(401))}]}, "/filters/any_of/1/pep", "1000 values"),
]


@pytest.mark.parametrize(("raw", "pointer", "detail"), REFUSED)
def test_a_wrong_filter_is_refused_with_the_place_and_the_reason(raw: object, pointer: str, detail: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parsed(raw)
    (error,) = refusal.value.errors
    assert error.pointer == pointer
    assert detail in error.detail
    msgspec.json.encode(refusal.value.errors)


def test_all_that_is_wrong_is_told_at_once_up_to_a_limit() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_filter({"status": 1, "pep": "x", "colour": 2}, FIELDS, "/queries/3/filters")
    assert [error.pointer for error in refusal.value.errors] == [
        "/queries/3/filters/status",
        "/queries/3/filters/pep",
        "/queries/3/filters/colour",
    ]
    with pytest.raises(InvalidRequest) as refusal:
        parsed({"any_of": [1] * 100_000})
    assert len(refusal.value.errors) == 20


def test_filters_at_the_limits_are_taken() -> None:
    assert parsed(nested(4)) is not None
    assert parsed({"any_of": [{"pep": {"gt": number}, "status": "Final"} for number in range(16)]}) is not None
    assert parsed({"pep": list(range(1000))}) is not None


def test_a_field_named_in_an_error_is_shortened() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parsed({"x" * 10_000: 1})
    assert len(refusal.value.errors[0].detail) < 300


@pytest.mark.parametrize(
    "raw",
    [None, {}, {"none_of": []}, {"status": {"not_in": []}}, {"any_of": [{}, {"pep": 8}]}, {"title": {"exists": True}}],
)
def test_a_filter_that_demands_nothing_is_none(raw: object) -> None:
    assert parsed(raw) is None


SAME = [
    [
        {"status": "Final"},
        {"status": ["Final", "Final"]},
        {"status": {"eq": "Final"}},
        {"any_of": [{"status": "Final"}]},
    ],
    [{"status": ["a", "b"]}, {"status": ["b", "a"]}, {"any_of": [{"status": "b"}, {"status": {"in": ["a"]}}]}],
    [{"status": "a", "pep": 1}, {"pep": 1, "status": "a"}, {"any_of": [{"pep": 1, "status": ["a"]}]}],
    [{"status": {"ne": "a"}}, {"status": {"not_in": ["a", "a"]}}, {"none_of": [{"status": "a"}]}],
    [{"status": "a"}, {"status": {"in": ["a", "b"], "ne": "b"}}, {"none_of": [{"status": {"ne": "a"}}]}],
    [{"status": {"exists": False}}, {"none_of": [{"status": {"exists": True}}]}],
    [
        {"pep": {"gt": 1, "lt": 5}},
        {"pep": {"gte": 2, "lte": 4}},
        {"pep": {"gt": 1, "gte": 0, "lte": 4, "exists": True}},
    ],
    [{"pep": 3}, {"pep": {"gt": 2, "lt": 4}}, {"pep": {"in": [1, 3, 9], "gte": 2, "lt": 9}}],
    [{"score": 2}, {"score": 2.0}, {"score": {"gte": 2, "lte": 2.0}}],
    [{"score": 0.0}, {"score": -0.0}],
    [{"draft": True}, {"draft": {"ne": False, "exists": True}}],
    [{"draft": {"exists": True}}, {"draft": [True, False]}, {"any_of": [{"draft": True}, {"draft": False}]}],
    [{"draft": {"exists": False}}, {"draft": {"not_in": [True, False]}}],
    [{"created": "2015-01-01"}, {"created": "2015-01-01T00:00Z"}, {"created": "2015-01-01 02:00:00.000+02:00"}],
    [{"authors": "A"}, {"authors": {"contains": "A"}}, {"authors": ["A"]}, {"authors": {"in": ["A", "B"], "eq": "A"}}],
    [{"authors": {"in": ["A"], "ne": "B"}}, {"authors": {"in": ["A", "B"], "not_in": ["B"]}}],
    [
        {"status": "a", "any_of": [{"status": "b"}, {"pep": 1, "authors": "A"}]},
        {"status": "a", "pep": 1, "authors": "A"},
    ],
    [{"pep": 1, "none_of": [{"pep": 1, "status": "a"}]}, {"pep": 1, "status": {"ne": "a"}}],
    [
        {"any_of": [{"pep": 1, "status": "a"}, {"any_of": [{"pep": 2, "status": "a"}, {"draft": True}]}]},
        {"any_of": [{"draft": True}, {"pep": 1, "status": "a"}, {"status": "a", "pep": 2}]},
    ],
    [{"none_of": [{"any_of": [{"pep": 1}, {"status": "a"}]}]}, {"pep": {"ne": 1}, "status": {"ne": "a"}}],
    [{"none_of": [{"none_of": [{"pep": {"gt": 3}}]}]}, {"pep": {"gt": 3}}],
]


@pytest.mark.parametrize("spellings", SAME)
def test_equal_meanings_have_one_form(spellings: list[dict[str, Any]]) -> None:
    forms = [parsed(raw) for raw in spellings]
    assert forms == [forms[0]] * len(forms)
    assert forms[0] not in (None, NOTHING)


@pytest.mark.parametrize(
    "raw",
    [
        {"status": []},
        {"any_of": []},
        {"none_of": [{}]},
        {"status": {"in": ["a"], "ne": "a"}},
        {"status": {"in": ["a"], "eq": "b"}},
        {"status": {"exists": False, "eq": "a"}},
        {"status": {"exists": False}, "any_of": [{"status": {"exists": True}}]},
        {"status": "a", "none_of": [{"status": ["a", "b"]}]},
        {"pep": 1, "status": "a", "none_of": [{"status": "a", "pep": {"lt": 2}}]},
        {"pep": {"gt": 3, "lt": 4}},
        {"pep": {"gt": 2**63 - 1}},
        {"score": {"gt": 2, "lte": 2}},
        {"created": {"gte": "2015-01-01T00:00:00.000001Z", "lt": "2015-01-01T00:00:00Z"}},
        {"draft": {"not_in": [True, False], "exists": True}},
        {"authors": {"eq": "A", "ne": "A"}},
        {"authors": {"exists": False, "contains": "A"}},
        {"title": {"exists": False}},
        {"any_of": [{"pep": {"lt": 1, "gt": 1}}, {"status": []}]},
        {"pep": 1, "any_of": [{"pep": 2}, {"pep": {"gt": 1}}]},
    ],
)
def test_a_filter_that_nothing_can_meet_is_known_for_it(raw: dict[str, Any]) -> None:
    assert parsed(raw) == NOTHING


def test_two_demands_on_an_array_may_be_met_by_two_elements() -> None:
    where = parsed({"authors": "A", "any_of": [{"authors": "B"}]})
    assert meets(where, {"authors": ["A", "B"]})
    assert not meets(where, {"authors": ["A"]})


def test_conditions_are_sorted_and_dates_are_in_utc() -> None:
    where = parsed({"status": ["b", "a"], "created": {"gt": "2015-01-31T23:30:00.5-01:00"}})
    assert where == Filter(
        (
            Condition("created", "date", "gt", ("2015-02-01T00:30:00.500000Z",)),
            Condition("status", "keyword", "in", ("a", "b")),
        )
    )


@pytest.mark.parametrize(
    ("value", "field_type", "expected"),
    [
        ("Final", "keyword", "Final"),
        (-(2**63), "integer", -(2**63)),
        (3, "number", 3.0),
        (False, "boolean", False),
        ("2015-01-31", "date", "2015-01-31T00:00:00Z"),
        ("0999-12-31T23:59", "date", "0999-12-31T23:59:00Z"),
        (["b", "a", "b"], "keyword[]", ("b", "a", "b")),
        ([], "keyword[]", ()),
    ],
)
def test_a_fitting_value_has_one_canonical_form(value: object, field_type: FieldType, expected: object) -> None:
    form = canonical_value(value, field_type)
    assert form == expected
    assert type(form) is type(expected)


@pytest.mark.parametrize(
    ("value", "field_type"),
    [("A", "keyword[]"), (["A", 1], "keyword[]"), (None, "keyword"), ({}, "number"), ([], "date")],
)
def test_a_value_that_does_not_fit_says_what_would(value: object, field_type: FieldType) -> None:
    with pytest.raises(ValueError, match="must be"):
        canonical_value(value, field_type)
