"""Filters of the contract as filters of Qdrant."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import qdrant_edge as qdrant

from service.stores.embedded.payloads import key_of
from service.stores.filters import Condition, Filter

BOUNDS: Final = ("gt", "gte", "lt", "lte")
EXACT_BELOW: Final = 2**53 - 8
"""Whole numbers that Qdrant, whose ranges are floats, compares exactly."""
INTEGERS: Final = range(-(2**63), 2**63)


def to_qdrant(where: Filter | None) -> qdrant.Filter | None:
    """Translate a filter; None where there is nothing to demand."""
    return None if where is None else _nested(where)


def _nested(where: Filter) -> qdrant.Filter:
    if where.is_contradiction:
        return qdrant.Filter(must=[qdrant.HasIdCondition(set())])
    must: list[Any] = []
    must_not: list[Any] = []
    for condition in where.conditions:
        (must_not if _is_negative(condition) else must).append(_condition(condition))
    must.extend(qdrant.Filter(should=[_nested(branch) for branch in group]) for group in where.any_of)
    must_not.extend(_nested(branch) for branch in where.none_of)
    return qdrant.Filter(must=must, must_not=must_not)


def _is_negative(condition: Condition) -> bool:
    """Tell whether the condition is stated by what must not hold. Absent is: no value, null, or an empty array."""
    return condition.operator == "not_in" or (condition.operator == "exists" and condition.values[0] is True)


def _condition(condition: Condition) -> Any:
    key = key_of(condition.field, condition.type)
    if condition.operator == "exists":
        return qdrant.IsEmptyCondition(key)
    if condition.operator in BOUNDS:
        if condition.type == "integer" and abs(int(condition.values[0])) > EXACT_BELOW:
            return _range_of_large(key, condition.operator, int(condition.values[0]))
        return _range(key, condition, {condition.operator: condition.values[0]})
    if condition.type in ("number", "date"):
        return qdrant.Filter(
            should=[_range(key, condition, {"gte": value, "lte": value}) for value in condition.values],
        )
    values: list[Any] = [int(value) if isinstance(value, bool) else value for value in condition.values]
    return qdrant.FieldCondition(key, match=qdrant.MatchAny(values))


def _range(key: str, condition: Condition, bounds: Mapping[str, Any]) -> qdrant.FieldCondition:
    bounded: Callable[..., Any] = qdrant.RangeDateTime if condition.type == "date" else qdrant.RangeFloat
    return qdrant.FieldCondition(key, range=bounded(**bounds))


def _range_of_large(key: str, operator: str, bound: int) -> qdrant.Filter:
    """Compare exactly where floats are coarser than whole numbers: those near the bound one by one, then a range."""
    direction = 1 if operator in ("gt", "gte") else -1
    edge = float(bound)
    for _ in range(2):
        edge = math.nextafter(edge, direction * math.inf)
    first = bound if operator in ("gte", "lte") else bound + direction
    near = [value for value in range(first, int(edge), direction) if value in INTEGERS]
    conditions: list[Any] = [qdrant.FieldCondition(key, match=qdrant.MatchAny(near))]
    if int(edge) in INTEGERS:
        beyond = qdrant.RangeFloat(gte=edge) if direction > 0 else qdrant.RangeFloat(lte=edge)
        conditions.append(qdrant.FieldCondition(key, range=beyond))
    return qdrant.Filter(should=conditions)
