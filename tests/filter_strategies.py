"""Random filters, as callers write them, and random metadata to hold against them."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from service.models import FieldType

FIELDS: Mapping[str, FieldType] = {
    "status": "keyword",
    "pep": "integer",
    "score": "number",
    "created": "date",
    "draft": "boolean",
    "authors": "keyword[]",
}
KEYWORDS = st.sampled_from(["a", "b", "c"])
INTEGERS = st.integers(0, 4)
NUMBERS = st.sampled_from([0, 0.5, 1, 1.5, 2])
DATES = st.sampled_from(
    [
        "2015-01-01",
        "2015-01-01T00:00:00.000001Z",
        "2015-01-01T02:00:00+02:00",
        "2015-01-02",
        "2014-12-31T23:30:00-01:00",
    ]
)
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "status": KEYWORDS,
    "pep": INTEGERS,
    "score": NUMBERS,
    "created": DATES,
    "draft": st.booleans(),
    "authors": KEYWORDS,
}
EQUALITY, RANGES = ["eq", "ne", "in", "not_in", "exists"], ["gt", "gte", "lt", "lte"]


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, Any]:
    field = draw(st.sampled_from(sorted(FIELDS)))
    scalar = VALUES[field]
    extra = RANGES if FIELDS[field] in {"integer", "number", "date"} else []
    operators = [*EQUALITY, *extra, *(["contains"] if field == "authors" else [])]
    several = st.lists(scalar, max_size=3)
    chosen = draw(st.lists(st.sampled_from(operators), min_size=1, max_size=3, unique=True))
    arguments = {"in": several, "not_in": several, "exists": st.booleans()}
    spelled = st.just({operator: draw(arguments.get(operator, scalar)) for operator in chosen})
    return field, draw(st.one_of(spelled, spelled, scalar, several))


def raw_filters(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    own = st.lists(conditions(), max_size=2).map(dict)
    if depth == 1:
        return own
    groups = st.fixed_dictionaries(
        {},
        optional={
            "any_of": st.lists(raw_filters(depth - 1), max_size=3),
            "none_of": st.lists(raw_filters(depth - 1), max_size=2),
        },
    )
    return st.tuples(own, groups).map(lambda parts: {**parts[0], **parts[1]})


def condition_count(raw: dict[str, Any]) -> int:
    branches = [*raw.get("any_of", []), *raw.get("none_of", [])]
    own = sum(len(value) if isinstance(value, dict) else 1 for key, value in raw.items() if key in FIELDS)
    return own + sum(map(condition_count, branches))


def allowed_filters(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    return raw_filters(depth).filter(lambda raw: condition_count(raw) <= 32)


METADATA = st.fixed_dictionaries({}, optional={**VALUES, "authors": st.lists(KEYWORDS, max_size=3)})
