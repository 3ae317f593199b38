"""Filters: the caller's JSON, checked against the declared fields, in one canonical form that every store evaluates."""

from service.stores.filters.conditions import BUILT_IN_FIELDS, Condition, Filter, Operator, meets
from service.stores.filters.reading import parse_filter
from service.stores.filters.values import canonical_value, comparable

__all__ = [
    "BUILT_IN_FIELDS",
    "Condition",
    "Filter",
    "Operator",
    "canonical_value",
    "comparable",
    "meets",
    "parse_filter",
]
