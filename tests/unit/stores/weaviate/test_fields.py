"""What Weaviate would change in a value is kept in digits: each exact as a float, together ordered as the value."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from service.stores.filters import canonical_value
from service.stores.weaviate.fields import (
    EXACT,
    date_digits,
    date_of,
    integer_digits,
    integer_of,
    properties_of,
    unwrapped,
    wrapped,
)

INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([EXACT, EXACT - 1, EXACT + 1, -EXACT, 1 - EXACT, 0])
DATES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999), timezones=st.just(UTC)).map(  # noqa: DTZ001  # the bounds of aware dates are naive
    lambda moment: str(canonical_value(moment.isoformat(), "date"))
)


@given(INTEGERS)
def test_a_whole_number_comes_back_from_its_digits(value: int) -> None:
    assert integer_of(integer_digits(value)) == value


@given(INTEGERS, INTEGERS)
def test_digits_of_whole_numbers_are_ordered_as_the_numbers(one: int, other: int) -> None:
    assert (integer_digits(one) < integer_digits(other)) == (one < other)


@given(INTEGERS)
def test_each_digit_is_exact_as_a_float(value: int) -> None:
    assert all(int(float(digit)) == digit for digit in integer_digits(value))


@given(DATES)
def test_a_date_comes_back_from_its_digits(value: str) -> None:
    assert date_of(date_digits(value)) == value


@given(DATES, DATES)
def test_digits_of_dates_are_ordered_as_the_dates(one: str, other: str) -> None:
    earlier = datetime.fromisoformat(one) < datetime.fromisoformat(other)
    assert (date_digits(one) < date_digits(other)) == earlier


def test_a_keyword_that_begins_and_ends_with_white_space_is_kept_whole() -> None:
    assert unwrapped(wrapped("  a ")) == "  a "
    assert wrapped("  a ").strip() == wrapped("  a ")


def test_only_what_is_declared_is_indexed_and_an_empty_array_is_absent() -> None:
    found = properties_of(
        {"status": "Final", "authors": [], "note": "x"}, {"status": "keyword", "authors": "keyword[]"}
    )
    assert found == {"present": ["status__keyword"], "status__keyword": "=Final="}


def test_a_large_number_and_a_fraction_of_a_second_take_further_properties() -> None:
    found = properties_of(
        {"pep": 2**53 + 1, "created": "2015-01-01T00:00:00.000007Z"}, {"pep": "integer", "created": "date"}
    )
    del found["present"]
    assert found == {
        "pep__integer": 2**53,
        "pep__integer_high": 2**21,
        "pep__integer_low": 1,
        "created__date": 1_420_070_400,
        "created__date_micro": 7,
    }
