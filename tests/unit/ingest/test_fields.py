from typing import Any

import pytest

from service.errors import InvalidDocument
from service.ingest.fields import fit_metadata
from service.models import MOST_FIELDS, FieldType

DECLARED: dict[str, FieldType] = {"pep": "integer", "created": "date", "score": "number", "authors": "keyword[]"}


def test_types_of_undeclared_fields_are_inferred() -> None:
    metadata = {"word": "2024-01-01", "whole": 3, "part": 3.0, "yes": True, "many": ["a", "b"]}
    fitted, fields = fit_metadata(metadata, {})
    assert fields == {
        "word": "keyword",
        "whole": "integer",
        "part": "number",
        "yes": "boolean",
        "many": "keyword[]",
    }
    assert fitted == metadata


def test_values_of_declared_fields_are_kept_as_given() -> None:
    metadata = {"pep": 8, "created": "2001-07-05", "score": 2, "authors": ["a"]}
    fitted, fields = fit_metadata(metadata, DECLARED)
    assert fitted == metadata
    assert fields == DECLARED


def test_nulls_and_empty_arrays_without_a_type_are_left_out() -> None:
    assert fit_metadata({"pep": None, "other": None, "many": [], "authors": []}, DECLARED) == (
        {"authors": []},
        DECLARED,
    )


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"pep": "8"}, "metadata field pep (integer) must be a whole number"),
        ({"pep": 2**70}, "at most 64 bits"),
        ({"created": "yesterday"}, "metadata field created (date) must be an ISO 8601 date"),
        ({"authors": "Guido"}, "metadata field authors (keyword[]) must be an array of strings"),
        ({"new": [1]}, "metadata field new (keyword[]) must be a string"),
        ({"new": {"a": 1}}, "must be a string, a number, a boolean or an array of strings, not an object"),
        ({"new": "a\0b"}, "NUL"),
        ({"title": "a"}, "reserved name"),
        ({"any_of": "a"}, "reserved name"),
        ({"Bad Name": "a"}, "'Bad Name' cannot have this name"),
        ({"n" * 64: "a"}, "at most 63 characters"),
        ({"n": "x" * 64_000}, "metadata takes more than 64,000 bytes"),
        ({f"f{number}": 1 for number in range(MOST_FIELDS)}, "more than 64 fields"),
    ],
)
def test_what_does_not_fit_says_so(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDocument) as raised:
        fit_metadata(metadata, DECLARED)
    assert message in str(raised.value)
