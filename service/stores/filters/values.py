"""Which JSON values fit a field, and the one form each is kept and compared in."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from service.models import UNSTORABLE, FieldType, Scalar

SMALLEST_INTEGER: Final = -(2**63)
LARGEST_INTEGER: Final = 2**63 - 1
ISO_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def canonical_value(value: object, field_type: FieldType) -> Scalar | tuple[Scalar, ...]:
    """Return the one form of a JSON value for a field of this type; dates become `2015-01-31T09:30:00Z`.

    Equal meanings give equal forms: numbers are floats, dates are in UTC with a fraction of six digits where there is
    one (more digits are cut). Raises ValueError, with a message for the caller, where the value does not fit.
    """
    if field_type != "keyword[]":
        return canonical_scalar(value, field_type)
    if not isinstance(value, list | tuple):
        raise _misfit("an array of strings", value)
    return tuple(canonical_scalar(element, field_type) for element in value)


def canonical_scalar(value: object, field_type: FieldType) -> Scalar:
    """Return the canonical form of one value: of one element, where the field is an array."""
    return CANONICAL[field_type](value)


def comparable(value: Any) -> Any:
    """Return what orders canonical values of one field: dates need their Z off for a fraction to sort after none."""
    return value[:-1] if isinstance(value, str) else value


def _keyword(value: object) -> str:
    if not isinstance(value, str):
        raise _misfit("a string", value)
    if UNSTORABLE.search(value):
        raise ValueError("must not contain NUL characters or lone surrogates")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _misfit("a whole number, written without a fraction", value)
    if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        raise ValueError("must be a whole number of at most 64 bits")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _misfit("a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number that fits 64-bit floating point")
    return number + 0.0  # -0.0 becomes 0.0


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _misfit("true or false", value)
    return value


def _date(value: object) -> str:
    if not isinstance(value, str):
        raise _misfit("a date such as 2015-01-31 or 2015-01-31T09:30:00Z", value)
    if not ISO_DATE.fullmatch(value):
        raise ValueError("must be an ISO 8601 date such as 2015-01-31 or 2015-01-31T09:30:00Z")
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a date that exists, between the years 1 and 9999 in UTC") from error
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


def _misfit(expected: str, value: object) -> ValueError:
    kinds = {bool: "a boolean", str: "a string", int: "a whole number", float: "a number", dict: "an object"}
    kind = "null" if value is None else kinds.get(type(value), "an array")
    return ValueError(f"must be {expected}, not {kind}")


CANONICAL: Final[Mapping[FieldType, Callable[[object], Scalar]]] = {
    "keyword": _keyword,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "keyword[]": _keyword,
}
