"""Merging conditions on the same field into one form, and finding those that contradict each other."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from service.models import Scalar
from service.stores.filters.conditions import BUILT_IN_FIELDS, COMPARISONS, Condition, Operator
from service.stores.filters.values import LARGEST_INTEGER, SMALLEST_INTEGER, comparable


def merge(conditions: Iterable[Condition]) -> tuple[Condition, ...] | None:
    """Return the one form of what holds when all conditions hold, sorted; None where nothing can meet them."""
    merged: list[Condition] = []
    for _, group in groupby(sorted(set(conditions)), key=lambda condition: condition.field):
        same_field = list(group)
        combine = _merge_array if same_field[0].type == "keyword[]" else _merge_scalar
        remaining = combine(same_field)
        if remaining is None:
            return None
        merged.extend(remaining)
    return tuple(sorted(merged))


def negated(condition: Condition) -> Condition | None:
    """Return the condition that holds exactly where this one does not; a range has none, as absent fields fail both."""
    if condition.operator == "exists":
        return _like(condition, "exists", [not condition.values[0]])
    opposites: dict[Operator, Operator] = {"in": "not_in", "not_in": "in"}
    opposite = opposites.get(condition.operator)
    return _like(condition, opposite, condition.values) if opposite else None


def united(first: Condition, second: Condition) -> Condition | None:
    """Return the one condition that holds where either of two `in` on the same field does."""
    if first.operator != "in" or second.operator != "in" or first.field != second.field:
        return None
    return _like(first, "in", {*first.values, *second.values})


def _merge_array(conditions: Sequence[Condition]) -> list[Condition] | None:
    """Elements differ, so that two `in` do not intersect; one that follows from another is dropped."""
    presence = {condition.values[0] for condition in conditions if condition.operator == "exists"}
    unwanted = _union(conditions, "not_in")
    wanted = {frozenset(condition.values) - unwanted for condition in conditions if condition.operator == "in"}
    if frozenset() in wanted or (False in presence and (wanted or True in presence)):
        return None
    if False in presence:
        return [_like(conditions[0], "exists", [False])]
    merged = [_like(conditions[0], "in", values) for values in wanted if not any(other < values for other in wanted)]
    if presence and not wanted:
        merged.append(_like(conditions[0], "exists", [True]))
    return [*merged, *([_like(conditions[0], "not_in", unwanted)] if unwanted else [])]


def _merge_scalar(conditions: Sequence[Condition]) -> list[Condition] | None:
    model = conditions[0]
    presence = {condition.values[0] for condition in conditions if condition.operator == "exists"}
    wanted = _intersection(conditions)
    unwanted = _union(conditions, "not_in")
    bounds = _bounds(conditions)
    if bounds is None:
        return None
    is_built_in = model.field in BUILT_IN_FIELDS
    is_present = is_built_in or True in presence or wanted is not None or bool(bounds)
    if False in presence:
        return None if is_present else [_like(model, "exists", [False])]
    if model.type == "boolean":
        return _merge_boolean(model, {False, True} if wanted is None else wanted, unwanted, is_present=is_present)
    if wanted is None and len(bounds) == 2 and bounds[0].values == bounds[1].values:  # noqa: PLR2004 - both ends meet
        wanted = set(bounds[0].values)
    if wanted is not None:
        wanted = {value for value in wanted - unwanted if _is_within(value, bounds)}
        return [_like(model, "in", wanted)] if wanted else None
    unwanted = {value for value in unwanted if _is_within(value, bounds)}
    merged = [*bounds, *([_like(model, "not_in", unwanted)] if unwanted else [])]
    if is_present and not bounds and not is_built_in:
        merged.append(_like(model, "exists", [True]))
    return merged


def _merge_boolean(
    model: Condition, wanted: set[Scalar], unwanted: set[Scalar], *, is_present: bool
) -> list[Condition] | None:
    wanted = wanted - unwanted
    if not is_present:
        if wanted:
            return [_like(model, "not_in", unwanted)] if unwanted else []
        return [_like(model, "exists", [False])]
    if not wanted:
        return None
    return [_like(model, "in", wanted) if len(wanted) == 1 else _like(model, "exists", [True])]


def _bounds(conditions: Sequence[Condition]) -> list[Condition] | None:
    """Return the strongest lower and upper bound, as far as there are any; None where they exclude each other."""
    whole = [_whole(condition) for condition in conditions if condition.operator in COMPARISONS]
    if None in whole:
        return None
    ranges = [condition for condition in whole if condition]
    lower = [condition for condition in ranges if condition.operator in {"gt", "gte"}]
    upper = [condition for condition in ranges if condition.operator in {"lt", "lte"}]
    bounds = []
    if lower:
        bounds.append(max(lower, key=lambda bound: (comparable(bound.values[0]), bound.operator == "gt")))
    if upper:
        bounds.append(min(upper, key=lambda bound: (comparable(bound.values[0]), bound.operator == "lte")))
    ends = [comparable(bound.values[0]) for bound in bounds]
    if ends != sorted(ends):
        return None
    is_point = len(bounds) == 2 and ends[0] == ends[1]  # noqa: PLR2004 - both ends
    return None if is_point and {bound.operator for bound in bounds} != {"gte", "lte"} else bounds


def _whole(condition: Condition) -> Condition | None:
    """Turn a strict bound on integers into the inclusive one; None where no 64-bit integer is beyond it."""
    steps: dict[Operator, tuple[Operator, int]] = {"gt": ("gte", 1), "lt": ("lte", -1)}
    if condition.type != "integer" or condition.operator not in steps:
        return condition
    inclusive, step = steps[condition.operator]
    bound = int(condition.values[0]) + step
    return _like(condition, inclusive, [bound]) if SMALLEST_INTEGER <= bound <= LARGEST_INTEGER else None


def _is_within(value: Scalar, bounds: Sequence[Condition]) -> bool:
    return all(COMPARISONS[bound.operator](comparable(value), comparable(bound.values[0])) for bound in bounds)


def _intersection(conditions: Sequence[Condition]) -> set[Scalar] | None:
    sets = [set(condition.values) for condition in conditions if condition.operator == "in"]
    return set.intersection(*sets) if sets else None


def _union(conditions: Sequence[Condition], operator: Operator) -> set[Scalar]:
    return {value for condition in conditions if condition.operator == operator for value in condition.values}


def _like(model: Condition, operator: Operator, values: Iterable[Scalar]) -> Condition:
    return Condition(model.field, model.type, operator, tuple(sorted(values)))
