import pytest

from service.search.hottest import Hot
from service.search.popularity import LARGEST_BODY, MOST_WATCHED, Popularity

QUERY = b'{"query":"tea"}'


def note(popularity: Popularity, *callers: str, key: str = "k") -> None:
    for caller in callers:
        popularity.note("t", "/search", key, caller, lambda: QUERY)


@pytest.mark.parametrize(
    ("callers", "is_kept"),
    [
        (["ann"] * 4, False),
        (["ann", "bob"], False),
        (["ann", "bob", "cid"], True),
        (["ann"] * 50, False),
        (["ann", "ann", "ann", "ann", "bob"], True),
        ([""] * 4, False),
        ([""] * 5, True),
    ],
)
def test_a_query_is_written_down_once_enough_have_asked_it(callers: list[str], is_kept: bool) -> None:  # noqa: FBT001
    popularity = Popularity()
    note(popularity, *callers)
    assert popularity.take() == ([(Hot("t", "/search", QUERY), len(callers))] if is_kept else [])


def test_what_was_taken_is_not_counted_again() -> None:
    popularity = Popularity()
    note(popularity, *"abc")
    popularity.take()
    assert popularity.take() == []
    note(popularity, "a")
    assert [count for _, count in popularity.take()] == [1]


def test_the_text_is_not_even_looked_at_before() -> None:
    def text() -> bytes:
        raise AssertionError("too early")

    Popularity().note("t", "/search", "k", "ann", text)


def test_only_so_many_requests_are_watched() -> None:
    popularity = Popularity()
    for number in range(MOST_WATCHED + 1):
        note(popularity, "ann", key=str(number))
    note(popularity, "bob", "cid", key="0")
    assert popularity.take() == []


def test_what_was_not_asked_for_the_longest_is_forgotten_first() -> None:
    popularity = Popularity()
    note(popularity, "ann", "bob", key="first")
    for number in range(MOST_WATCHED - 1):
        note(popularity, "ann", key=str(number))
    note(popularity, "bob", key="first")
    note(popularity, "ann", key="one more")
    note(popularity, "cid", key="first")
    assert [count for _, count in popularity.take()] == [4]


@pytest.mark.parametrize(("length", "is_kept"), [(LARGEST_BODY, True), (LARGEST_BODY + 1, False)])
def test_a_long_request_is_not_written_down(length: int, is_kept: bool) -> None:  # noqa: FBT001  # a case
    popularity = Popularity()
    for caller in "abcdef":
        popularity.note("t", "/search", "k", caller, lambda: bytes(length))
    assert bool(popularity.take()) == is_kept
