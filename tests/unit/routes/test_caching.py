import pytest

from service.caches.base import Demands
from service.errors import InvalidRequest
from service.routes.caching import demands_of, headers_of, is_known, owner_of
from service.search.answering import Answer

ANSWER = Answer(body=b"{}", version="v", validator="abc-v", outcome="miss", ttl_seconds=59.6, is_kept=True)


@pytest.mark.parametrize(
    ("control", "demands"),
    [
        ("", Demands()),
        ("no-cache", Demands(reads=False)),
        ("No-Cache", Demands(reads=False)),
        ("no-store", Demands(reads=False, stores=False)),
        ("max-age=0", Demands(reads=False, max_age_seconds=0)),
        ('max-age="60"', Demands(max_age_seconds=60)),
        ("max-age=00", Demands(reads=False, max_age_seconds=0)),
        ("max-age=" + "9" * 5000, Demands(max_age_seconds=float("inf"))),
        ("only-if-cached, max-age=5", Demands(only_cached=True, max_age_seconds=5)),
        ("no-transform, unknown=1", Demands()),
    ],
)
def test_cache_control_becomes_demands(control: str, demands: Demands) -> None:
    assert demands_of({"cache-control": control}, "t") == demands


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5"])
def test_an_age_that_is_no_whole_number_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="max-age is a whole number"):
        demands_of({"cache-control": f"max-age={value}"}, "t")


def test_users_are_hashed_for_each_tenant_apart() -> None:
    owner = demands_of({"x-user-id": "ann"}, "t").owner
    assert owner == owner_of(b"ann", "t") != owner_of(b"ann", "other")
    assert "ann" not in owner


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, False),
        ('W/"abc-v"', True),
        ('"abc-v"', True),
        ('"x", W/"abc-v"', True),
        ("*", True),
        ('"abc"', False),
        ("abc-v", False),
        ('"a*b"', False),
        ("foo*", False),
    ],
)
def test_a_validator_is_recognised(given: str | None, expected: bool) -> None:  # noqa: FBT001
    assert is_known(ANSWER, given) == expected


def test_the_headers_tell_what_happened() -> None:
    assert headers_of(ANSWER) == {
        "cache-control": "private, no-cache",
        "vary": "Authorization",
        "cache-status": "results; fwd=miss; stored; ttl=60",
        "etag": 'W/"abc-v"',
    }
