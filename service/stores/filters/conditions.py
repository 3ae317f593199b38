"""Filters as data, and what it means to meet one: the reference that every store must agree with."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from service.models import FieldType, Scalar
from service.stores.filters.values import comparable

Operator = Literal["in", "not_in", "gt", "gte", "lt", "lte", "exists"]

BUILT_IN_FIELDS: Final[Mapping[str, FieldType]] = {
    "document_id": "keyword",
    "title": "keyword",
    "position": "integer",
    "updated_at": "date",
}
"""What every passage has, beside the declared fields; their names are reserved."""

COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


class Condition(Struct, frozen=True, order=True):
    """One condition on one field, values canonical for the field's type (dates as UTC ISO 8601 with Z).

    On a keyword[] field `in` means that some element is one of the values, `not_in` that none is. `not_in` holds where
    the field is absent, the others but `exists` do not. An empty array is absent.
    """

    field: str
    type: FieldType
    operator: Operator
    values: tuple[Scalar, ...]
    """`in`, `not_in`: sorted, without duplicates, at least one. Ranges: one value. `exists`: one boolean."""


class Filter(Struct, frozen=True, order=True):
    """What must hold: all conditions, at least one filter of each any_of group, and none of none_of.

    A field has at most one condition of each operator, but for `in` on keyword[] fields. Groups have two filters or
    more. All tuples are sorted, so that equal meanings are equal.
    """

    conditions: tuple[Condition, ...] = ()
    any_of: tuple[tuple["Filter", ...], ...] = ()
    none_of: tuple["Filter", ...] = ()
    is_contradiction: bool = False
    """Nothing can ever meet it; then the rest is empty."""

    def mentions(self, field: str) -> bool:
        """Tell whether a condition is on this field."""
        nested = (*(branch for group in self.any_of for branch in group), *self.none_of)
        return any(condition.field == field for condition in self.conditions) or any(
            branch.mentions(field) for branch in nested
        )


EVERYTHING: Final = Filter()
NOTHING: Final = Filter(is_contradiction=True)


def meets(where: Filter | None, values: Mapping[str, Any]) -> bool:
    """Tell whether a passage meets the filter; `values` are its metadata and its built-in fields, all canonical."""
    if where is None:
        return True
    return (
        not where.is_contradiction
        and all(_holds(condition, values.get(condition.field)) for condition in where.conditions)
        and all(any(meets(branch, values) for branch in group) for group in where.any_of)
        and not any(meets(branch, values) for branch in where.none_of)
    )


def _holds(condition: Condition, value: Any) -> bool:
    elements = () if value is None else value if condition.type == "keyword[]" else (value,)
    if condition.operator == "exists":
        return bool(elements) == condition.values[0]
    if condition.operator == "in":
        return any(element in condition.values for element in elements)
    if condition.operator == "not_in":
        return all(element not in condition.values for element in elements)
    compare, bound = COMPARISONS[condition.operator], comparable(condition.values[0])
    return any(compare(comparable(element), bound) for element in elements)
