from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from service.ingest.streams import Line, lines_of

pytestmark = pytest.mark.anyio


async def stream(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def lines(*chunks: bytes, limit: int = 10) -> list[tuple[int, bytes, bool]]:
    return [(line.number, line.data, line.error is not None) async for line in lines_of(stream(chunks), limit)]


async def test_lines_are_numbered_as_an_editor_numbers_them() -> None:
    assert await lines(b"a\n\n \nb\r\nc") == [(1, b"a", False), (4, b"b", False), (5, b"c", False)]


async def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it() -> None:
    assert await lines(b"\xef\xbb", b"\xbfa\n\xef\xbb\xbfb") == [(1, b"a", False), (2, b"\xef\xbb\xbfb", False)]


async def test_a_line_over_the_limit_fails_alone() -> None:
    found = await lines(b"1234567890\n", b"123456", b"78901\nok\n", b"x" * 50)
    assert found == [(1, b"1234567890", False), (2, b"", True), (3, b"ok", False), (4, b"", True)]


async def test_an_endless_line_is_not_kept() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield b"x" * 100_000
        yield b"\nlast"

    assert [line async for line in lines_of(endless(), 10)] == [
        Line(1, error="the line is longer than 10 bytes"),
        Line(2, b"last"),
    ]


async def test_nothing_has_no_lines() -> None:
    assert await lines() == []
    assert await lines(b"", b"\n\n") == []


@given(some.binary(max_size=200), some.lists(some.integers(0, 200), max_size=20))
async def test_lines_do_not_depend_on_how_the_bytes_arrive(body: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(places)]
    assert await lines(*chunks, limit=50) == await lines(body, limit=50)
