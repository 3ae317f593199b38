"""The canonical form of a filter means what the caller wrote, whatever that is."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.stores.filters import canonical_value, meets, parse_filter
from service.stores.filters.canonical import canonical
from tests.filter_strategies import FIELDS, METADATA, allowed_filters


def moment(value: Any) -> Any:
    """Dates as datetimes, the rest as it is: what the naive reading compares."""
    if not isinstance(value, str) or not value.startswith("20"):
        return value
    read = datetime.fromisoformat(value)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def naively(raw: dict[str, Any], metadata: dict[str, Any]) -> bool:
    """Read the caller's filter word by word."""
    own = {key: value for key, value in raw.items() if key in FIELDS}
    return (
        all(naively_met(value, metadata.get(key)) for key, value in own.items())
        and ("any_of" not in raw or any(naively(branch, metadata) for branch in raw["any_of"]))
        and not any(naively(branch, metadata) for branch in raw.get("none_of", []))
    )


def naively_met(raw: Any, value: Any) -> bool:
    operators = raw if isinstance(raw, dict) else {"in": raw} if isinstance(raw, list) else {"eq": raw}
    elements = [] if value is None else [moment(one) for one in (value if isinstance(value, list) else [value])]
    truths: dict[str, Callable[[Any], bool]] = {
        "eq": lambda given: moment(given) in elements,
        "contains": lambda given: moment(given) in elements,
        "ne": lambda given: moment(given) not in elements,
        "in": lambda given: any(moment(one) in elements for one in given),
        "not_in": lambda given: not any(moment(one) in elements for one in given),
        "exists": lambda given: bool(elements) == given,
        "gt": lambda given: any(one > moment(given) for one in elements),
        "gte": lambda given: any(one >= moment(given) for one in elements),
        "lt": lambda given: any(one < moment(given) for one in elements),
        "lte": lambda given: any(one <= moment(given) for one in elements),
    }
    return all(truths[operator](given) for operator, given in operators.items())


@given(allowed_filters(3), st.lists(METADATA, min_size=1, max_size=8))
def test_the_canonical_filter_means_what_the_caller_wrote(raw: dict[str, Any], several: list[dict[str, Any]]) -> None:
    where = parse_filter(raw, FIELDS)
    for metadata in several:
        stored = {name: canonical_value(value, FIELDS[name]) for name, value in metadata.items()}
        assert meets(where, stored) == naively(raw, metadata), (where, metadata)


@given(allowed_filters(4))
def test_the_canonical_form_of_a_canonical_filter_is_itself(raw: dict[str, Any]) -> None:
    where = parse_filter(raw, FIELDS)
    assert where is None or canonical(where) == where
