"""Reading a caller's filter: checked against the declared fields, with a pointer to each place that is wrong."""

from collections.abc import Mapping
from typing import Any, Final

from service.errors import FieldError, InvalidRequest
from service.models import FieldType, Scalar
from service.stores.filters.canonical import canonical
from service.stores.filters.conditions import BUILT_IN_FIELDS, EVERYTHING, Condition, Filter, Operator
from service.stores.filters.values import canonical_scalar

MAXIMUM_DEPTH: Final = 4
MAXIMUM_CONDITIONS: Final = 32
MAXIMUM_VALUES: Final = 1000
MAXIMUM_ERRORS: Final = 20
"""Enough to correct a filter by; then reading stops."""
QUOTED_CHARACTERS: Final = 80

EQUALITY: Final[Mapping[str, Operator]] = {"eq": "in", "ne": "not_in", "in": "in", "not_in": "not_in"}
RANGES: Final[Mapping[str, Operator]] = {"gt": "gt", "gte": "gte", "lt": "lt", "lte": "lte"}
PRESENCE: Final[Mapping[str, Operator]] = {"exists": "exists"}
OPERATORS: Final[Mapping[FieldType, Mapping[str, Operator]]] = {
    "keyword": {**EQUALITY, **PRESENCE},
    "boolean": {**EQUALITY, **PRESENCE},
    "keyword[]": {**EQUALITY, "contains": "in", **PRESENCE},
    "integer": {**EQUALITY, **RANGES, **PRESENCE},
    "number": {**EQUALITY, **RANGES, **PRESENCE},
    "date": {**EQUALITY, **RANGES, **PRESENCE},
}
ALL_OPERATORS: Final = ("eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "contains", "exists")


def parse_filter(raw: object, fields: Mapping[str, FieldType], pointer: str = "/filters") -> Filter | None:
    """Check the caller's filter against the declared fields and return its canonical form.

    None where it demands nothing: then everything meets it. Raises InvalidRequest with a JSON pointer to each place
    that is wrong, `pointer` being the place of the filter itself.
    """
    if raw is None:
        return None
    reader = _Reader(fields)
    where = reader.read(raw, pointer, depth=1)
    if reader.errors:
        raise InvalidRequest(*reader.errors)
    where = canonical(where)
    return None if where == EVERYTHING else where


class _Reader:
    """Reads one filter from top to bottom, counts what is limited, and remembers what is wrong."""

    def __init__(self, fields: Mapping[str, FieldType]) -> None:
        self.errors: list[FieldError] = []
        self._fields: Mapping[str, FieldType] = {**fields, **BUILT_IN_FIELDS}
        self._declared = ", ".join(sorted(fields)) or "none"
        self._conditions = 0
        self._values = 0

    def read(self, raw: object, pointer: str, depth: int) -> Filter:
        if depth > MAXIMUM_DEPTH:
            self._stop(pointer, f"filters nest at most {MAXIMUM_DEPTH} deep, counting the outermost")
        if not isinstance(raw, dict):
            self._refuse(pointer, "must be an object of conditions")
            return EVERYTHING
        conditions: list[Condition] = []
        groups: dict[str, tuple[Filter, ...]] = {}
        for key, value in raw.items():
            place = _within(pointer, key)
            if key in {"any_of", "none_of"}:
                groups[key] = self._read_branches(value, place, depth + 1)
            else:
                conditions.extend(self._read_field(key, value, place))
        any_of = (groups["any_of"],) if "any_of" in groups else ()
        return Filter(tuple(conditions), any_of, groups.get("none_of", ()))

    def _read_branches(self, raw: object, pointer: str, depth: int) -> tuple[Filter, ...]:
        if not isinstance(raw, list):
            self._refuse(pointer, "must be an array of filters")
            return ()
        return tuple(self.read(branch, f"{pointer}/{index}", depth) for index, branch in enumerate(raw))

    def _read_field(self, name: str, raw: object, pointer: str) -> list[Condition]:
        field_type = self._fields.get(name)
        if field_type is None:
            self._count_condition(pointer)
            built_in = ", ".join(BUILT_IN_FIELDS)
            detail = f"there is no field {_quoted(name)}. Declared fields: {self._declared}. Built in: {built_in}."
            self._refuse(pointer, detail)
            return []
        if isinstance(raw, list):
            raw, places = {"in": raw}, {"in": pointer}
        elif isinstance(raw, dict):
            places = {operator: _within(pointer, operator) for operator in raw}
        else:
            raw, places = {"eq": raw}, {"eq": pointer}
        if not raw:
            self._refuse(pointer, f"must name an operator: {', '.join(OPERATORS[field_type])}")
        read = [self._read_condition(name, field_type, key, value, places[key]) for key, value in raw.items()]
        return [condition for condition in read if condition]

    def _read_condition(
        self, name: str, field_type: FieldType, operator: str, raw: object, pointer: str
    ) -> Condition | None:
        self._count_condition(pointer)
        fitting = OPERATORS[field_type]
        if operator not in fitting:
            known = f"operator {operator!r} does not fit" if operator in ALL_OPERATORS else "unknown operator:"
            self._refuse(pointer, f"{known} field {name!r} of type {field_type}; it takes {', '.join(fitting)}")
            return None
        is_list = operator in {"in", "not_in"}
        if is_list != isinstance(raw, list):
            detail = f"{operator} takes an array of values" if is_list else f"{operator} takes one value, not an array"
            self._refuse(pointer, detail)
            return None
        raw_values = raw if isinstance(raw, list) else [raw]
        self._count_values(len(raw_values), pointer)
        value_type: FieldType = "boolean" if operator == "exists" else field_type
        values = [
            self._read_value(value, value_type, f"{pointer}/{index}" if is_list else pointer)
            for index, value in enumerate(raw_values)
        ]
        distinct = {value for value in values if value is not None}
        return Condition(name, field_type, fitting[operator], tuple(sorted(distinct)))

    def _read_value(self, raw: object, value_type: FieldType, pointer: str) -> Scalar | None:
        if raw is None:
            self._refuse(pointer, 'must not be null; absent fields are found with {"exists": false}')
            return None
        try:
            return canonical_scalar(raw, value_type)
        except ValueError as error:
            self._refuse(pointer, str(error))
            return None

    def _count_condition(self, pointer: str) -> None:
        self._conditions += 1
        if self._conditions > MAXIMUM_CONDITIONS:
            self._stop(pointer, f"a filter has at most {MAXIMUM_CONDITIONS} conditions")

    def _count_values(self, count: int, pointer: str) -> None:
        self._values += count
        if self._values > MAXIMUM_VALUES:
            self._stop(pointer, f"a filter has at most {MAXIMUM_VALUES} values in all")

    def _refuse(self, pointer: str, detail: str) -> None:
        self.errors.append(FieldError(pointer, detail))
        if len(self.errors) == MAXIMUM_ERRORS:
            raise InvalidRequest(*self.errors)

    def _stop(self, pointer: str, detail: str) -> None:
        raise InvalidRequest(*self.errors, FieldError(pointer, detail))


def _within(pointer: str, key: Any) -> str:
    """Append a key to a JSON pointer (RFC 6901); what UTF-8 cannot carry is written as its escape."""
    token = str(key).replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{token.encode(errors='backslashreplace').decode()}"


def _quoted(name: str) -> str:
    return repr(name if len(name) <= QUOTED_CHARACTERS else f"{name[:QUOTED_CHARACTERS]}...")
