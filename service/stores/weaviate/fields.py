"""Metadata as Weaviate indexes it: which properties a field has, and what stands in them.

Weaviate trims text, counts its dates in nanoseconds (1677 to 2262), and takes whole numbers over gRPC as floats. So a
keyword is wrapped, and whole numbers and dates become digits: whole numbers that a float holds exactly, compared one
after the other.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from service.models import FieldType, Scalar
from service.stores.filters import BUILT_IN_FIELDS, canonical_value

PRESENT: Final = "present"
"""The property that names the fields which a passage has."""
EXACT: Final = 2**53
"""Whole numbers below are exact as floats."""
LOW_BITS: Final = 32
EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # canonical dates are in UTC, and read without their Z
MICROSECOND: Final = timedelta(microseconds=1)


class Digit(Struct, frozen=True):
    """One of the properties that hold a field."""

    name: str
    kind: str
    """Its type in Weaviate."""


def base_of(field: str, field_type: FieldType) -> str:
    """Return the property of a field, named by field and type: collections of a name may differ in schema."""
    return f"{field}__{'keywords' if field_type == 'keyword[]' else field_type}"


def digits_of(field: str, field_type: FieldType) -> list[Digit]:
    """Return the properties of a field, the one that orders first."""
    base = base_of(field, field_type)
    if field_type == "integer":
        return [Digit(base, "int"), Digit(f"{base}_high", "int"), Digit(f"{base}_low", "int")]
    if field_type == "date":
        return [Digit(base, "int"), Digit(f"{base}_micro", "int")]
    kinds = {"keyword": "text", "keyword[]": "text[]", "number": "number", "boolean": "boolean"}
    return [Digit(base, kinds[field_type])]


def integer_digits(value: int) -> tuple[int, ...]:
    """Return one digit, or for large numbers three: the bound that it passes, its upper half and its lower half."""
    if -EXACT < value < EXACT:
        return (value,)
    return (EXACT if value > 0 else -EXACT, value >> LOW_BITS, value & (2**LOW_BITS - 1))


def date_digits(value: str) -> tuple[int, int]:
    """Return the seconds since 1970 and the microseconds of a canonical date."""
    microseconds = (datetime.fromisoformat(value.removesuffix("Z")) - EPOCH) // MICROSECOND
    return divmod(microseconds, 1_000_000)


def integer_of(digits: tuple[int, ...]) -> int:
    """Return the number that has these digits."""
    return digits[0] if len(digits) == 1 else (digits[1] << LOW_BITS) + digits[2]


def date_of(digits: tuple[int, ...]) -> str:
    """Return the canonical date that has these digits."""
    moment = EPOCH + timedelta(seconds=digits[0], microseconds=digits[1])
    return f"{moment.isoformat()}Z"


def wrapped(text: str) -> str:
    """Return a keyword in a form that Weaviate does not trim."""
    return f"={text}="


def unwrapped(text: str) -> str:
    """Return what was wrapped."""
    return text[1:-1]


def properties_of(metadata: Mapping[str, Any], fields: Mapping[str, FieldType]) -> dict[str, Any]:
    """Return the properties of a passage's metadata and built-in fields, as far as they are declared.

    An empty array counts as absent.
    """
    known = {**fields, **BUILT_IN_FIELDS}
    properties: dict[str, Any] = {PRESENT: []}
    for name, raw in metadata.items():
        field_type = known.get(name)
        if field_type is None or raw in ([], ()):
            continue
        properties[PRESENT].append(base_of(name, field_type))
        properties.update(_digits(name, field_type, canonical_value(raw, field_type)))
    return properties


def _digits(name: str, field_type: FieldType, value: Scalar | tuple[Scalar, ...]) -> dict[str, Any]:
    digits = [digit.name for digit in digits_of(name, field_type)]
    if isinstance(value, tuple):
        return {digits[0]: [wrapped(str(element)) for element in value]}
    if field_type == "integer":
        return dict(zip(digits, integer_digits(int(value)), strict=False))
    if field_type == "date":
        seconds, micro = date_digits(str(value))
        return {digits[0]: seconds, **({digits[1]: micro} if micro else {})}
    return {digits[0]: wrapped(value) if isinstance(value, str) else value}
