from pathlib import Path

import pytest

from service.caches.hot import FileHotList, Hot
from service.search.popularity import MOST_WATCHED, Popularity

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
        (["ann"] * 5, True),
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


@pytest.mark.anyio
async def test_the_list_outlives_the_process(tmp_path: Path) -> None:
    hot = [Hot("t", "/search", b'{"query":"%d"}' % number) for number in range(3)]
    await FileHotList(tmp_path / "hot").add([(hot[0], 2), (hot[1], 5)])
    await FileHotList(tmp_path / "hot").add([(hot[0], 1), (hot[2], 1)])
    assert await FileHotList(tmp_path / "hot").read(2) == [hot[1], hot[0]]


@pytest.mark.anyio
@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x91\x92\xc4\x01x\xcb\x00\x00\x00\x00\x00\x00\x00\x00"])
async def test_a_damaged_list_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hot").write_bytes(content)
    assert await FileHotList(tmp_path / "hot").read(10) == []
