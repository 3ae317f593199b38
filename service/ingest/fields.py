"""Metadata of documents against the fields of their collection: what fits, and what undeclared fields become."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from service.errors import InvalidDocument
from service.models import MOST_FIELDS, NAME_PATTERN, RESERVED_FIELDS, FieldType, Metadata
from service.stores.filters import canonical_value

LARGEST_METADATA: Final = 64_000
"""Bytes of JSON; each passage carries it."""
QUOTED: Final = 80
"""Characters of a name that a message repeats."""


def fit_metadata(metadata: Metadata, fields: Mapping[str, FieldType]) -> tuple[Metadata, dict[str, FieldType]]:
    """Return the metadata as it is kept, its values as given, and the fields with those that it adds.

    Nulls are left out, and so are empty arrays of undeclared fields, whose type they do not tell. Raises
    InvalidDocument where a name or value cannot be taken.
    """
    fitted: Metadata = {}
    extended = dict(fields)
    for name, value in metadata.items():
        if value is None or (value == [] and name not in fields):
            continue
        field_type = extended.get(name) or _new_field(name, value)
        extended[name] = field_type
        _check_value(name, value, field_type)
        fitted[name] = value
    if len(extended) > max(MOST_FIELDS, len(fields)):
        raise InvalidDocument(f"metadata would give the collection more than {MOST_FIELDS} fields")
    if len(msgspec.json.encode(fitted)) > LARGEST_METADATA:
        raise InvalidDocument(f"metadata takes more than {LARGEST_METADATA:,} bytes")
    return fitted, extended


def _check_value(name: str, value: Any, field_type: FieldType) -> None:
    try:
        canonical_value(value, field_type)
    except ValueError as error:
        raise InvalidDocument(f"metadata field {name} ({field_type}) {error}") from None


def _new_field(name: str, value: Any) -> FieldType:
    if name in RESERVED_FIELDS:
        raise InvalidDocument(f"metadata field {name} has a reserved name; use another")
    if not NAME_PATTERN.fullmatch(name):
        detail = "begins with a letter and holds a-z, 0-9 and _, at most 63 characters"
        raise InvalidDocument(f"metadata field {name[:QUOTED]!r} cannot have this name: a field's name {detail}")
    # An array of anything else is refused by canonical_value, which says what it holds.
    inferred: Mapping[type, FieldType] = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "keyword",
        list: "keyword[]",
    }
    if type(value) not in inferred:
        raise InvalidDocument(
            f"metadata field {name} must be a string, a number, a boolean or an array of strings, not an object"
        )
    return inferred[type(value)]
