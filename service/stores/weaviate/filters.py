"""Filters of the contract as filters of Weaviate."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from weaviate.proto.v1 import base_pb2 as base

from service.stores.filters import Condition, Filter, Operator
from service.stores.weaviate.fields import PRESENT, base_of, date_digits, digits_of, integer_digits, wrapped

Clause = base.Filters
RANGES: Final[Mapping[str, Clause.Operator]] = {
    "gt": Clause.OPERATOR_GREATER_THAN,
    "gte": Clause.OPERATOR_GREATER_THAN_EQUAL,
    "lt": Clause.OPERATOR_LESS_THAN,
    "lte": Clause.OPERATOR_LESS_THAN_EQUAL,
}
STRICT: Final[Mapping[str, Operator]] = {"gt": "gt", "gte": "gt", "lt": "lt", "lte": "lt"}
ID: Final = "_id"


def to_weaviate(where: Filter | None) -> Clause | None:
    """Translate a filter that can be met; None where there is nothing to demand."""
    return None if where is None else _nested(where)


def both(first: Clause, *others: Clause | None) -> Clause:
    """Return what demands all that is given."""
    return _all([first, *(clause for clause in others if clause is not None)])


def either(clauses: Sequence[Clause]) -> Clause:
    """Return what demands one of these at least."""
    return clauses[0] if len(clauses) == 1 else Clause(operator=Clause.OPERATOR_OR, filters=clauses)


def has_id(ids: Iterable[str]) -> Clause:
    """Demand that an object's id is one of these."""
    return _on(ID, Clause.OPERATOR_CONTAINS_ANY, value_text_array=base.TextArray(values=ids))


def one_of(field: str, values: Iterable[str]) -> Clause:
    """Demand that a property that holds wrapped text has one of these values."""
    return _on(field, Clause.OPERATOR_CONTAINS_ANY, value_text_array=base.TextArray(values=map(wrapped, values)))


def whole_number(name: str, operator: Operator, value: int) -> Clause:
    """Demand that a property of whole numbers is so many, more or fewer."""
    return _on(name, RANGES[operator], value_int=value)


def equal(name: str, value: int) -> Clause:
    """Demand that a property of whole numbers is so many."""
    return _on(name, Clause.OPERATOR_EQUAL, value_int=value)


def negated(clause: Clause) -> Clause:
    """Demand the opposite; what has no value meets it."""
    return Clause(operator=Clause.OPERATOR_NOT, filters=[clause])


def _nested(where: Filter) -> Clause:
    demanded = [_condition(condition) for condition in where.conditions]
    demanded += [either([_nested(branch) for branch in group]) for group in where.any_of]
    demanded += [negated(_nested(branch)) for branch in where.none_of]
    return _all(demanded)


def _condition(condition: Condition) -> Clause:
    if condition.operator == "exists":
        is_there = _is_present(condition)
        return is_there if condition.values[0] else negated(is_there)
    if condition.operator == "in":
        return MEMBERSHIP[condition.type](condition)
    if condition.operator == "not_in":
        return negated(MEMBERSHIP[condition.type](condition))
    if condition.type == "number":
        return _on(_first(condition), RANGES[condition.operator], value_number=float(condition.values[0]))
    if condition.type == "date":
        return _date_range(condition)
    return _integer_range(condition)


def _is_present(condition: Condition) -> Clause:
    return _on(PRESENT, Clause.OPERATOR_EQUAL, value_text=base_of(condition.field, condition.type))


def _keyword_in(condition: Condition) -> Clause:
    return one_of(_first(condition), map(str, condition.values))


def _number_in(condition: Condition) -> Clause:
    values = [float(value) for value in condition.values]
    return _on(_first(condition), Clause.OPERATOR_CONTAINS_ANY, value_number_array=base.NumberArray(values=values))


def _boolean_in(condition: Condition) -> Clause:
    return either(
        [_on(_first(condition), Clause.OPERATOR_EQUAL, value_boolean=bool(value)) for value in condition.values]
    )


def _integer_in(condition: Condition) -> Clause:
    first, *further = _names(condition)
    digits = [integer_digits(int(value)) for value in condition.values]
    small = [one[0] for one in digits if len(one) == 1]
    clauses = [_among(first, small)] if small else []
    clauses += [_all([equal(*pair) for pair in zip(further, one[1:], strict=True)]) for one in digits if len(one) > 1]
    return either(clauses)


def _date_in(condition: Condition) -> Clause:
    seconds, micro = _names(condition)
    digits = [date_digits(str(value)) for value in condition.values]
    whole = [first for first, rest in digits if not rest]
    clauses = [_all([_among(seconds, whole), negated(whole_number(micro, "gt", 0))])] if whole else []
    clauses += [_all([equal(seconds, first), equal(micro, rest)]) for first, rest in digits if rest]
    return either(clauses)


MEMBERSHIP: Final[Mapping[str, Callable[[Condition], Clause]]] = {
    "keyword": _keyword_in,
    "keyword[]": _keyword_in,
    "number": _number_in,
    "boolean": _boolean_in,
    "integer": _integer_in,
    "date": _date_in,
}


def _integer_range(condition: Condition) -> Clause:
    """Compare digit by digit; of a small bound the first one decides."""
    first, high, low = _names(condition)
    bound, *rest = integer_digits(int(condition.values[0]))
    if not rest:
        return whole_number(first, condition.operator, bound)
    strict = STRICT[condition.operator]
    in_low = _all([equal(high, rest[0]), whole_number(low, condition.operator, rest[1])])
    among_large = either([whole_number(high, strict, rest[0]), in_low])
    return either([whole_number(first, strict, bound), _all([equal(first, bound), among_large])])


def _date_range(condition: Condition) -> Clause:
    """Compare the seconds, and where they are equal the microseconds, which are absent where there are none."""
    seconds, micro = _names(condition)
    bound, rest = date_digits(str(condition.values[0]))
    operator = condition.operator
    if not rest and operator in {"gte", "lt"}:
        return whole_number(seconds, operator, bound)
    if operator in {"gt", "gte"}:
        in_micro = whole_number(micro, operator, rest)
    else:
        in_micro = negated(whole_number(micro, "gte" if operator == "lt" else "gt", rest))
    in_second = _all([equal(seconds, bound), in_micro])
    return either([whole_number(seconds, STRICT[operator], bound), in_second])


def _first(condition: Condition) -> str:
    return _names(condition)[0]


def _names(condition: Condition) -> list[str]:
    return [digit.name for digit in digits_of(condition.field, condition.type)]


def _among(name: str, values: Sequence[int]) -> Clause:
    return _on(name, Clause.OPERATOR_CONTAINS_ANY, value_int_array=base.IntArray(values=values))


def _on(name: str, operator: Clause.Operator, **value: Any) -> Clause:
    return Clause(operator=operator, target=base.FilterTarget(property=name), **value)


def _all(clauses: Sequence[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else Clause(operator=Clause.OPERATOR_AND, filters=clauses)
