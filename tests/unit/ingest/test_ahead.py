import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from service.ingest.ahead import one_ahead

pytestmark = pytest.mark.anyio


class Source:
    """Numbers without end, or up to an error."""

    def __init__(self, error_at: int = 1_000_000) -> None:
        self.made = 0
        self.is_closed = False
        self._error_at = error_at

    async def numbers(self) -> AsyncGenerator[int]:
        try:
            while True:
                await asyncio.sleep(0)
                if self.made == self._error_at:
                    raise ValueError("no more")
                self.made += 1
                yield self.made
        finally:
            self.is_closed = True


async def test_the_next_one_is_made_while_the_present_one_is_used_and_no_more() -> None:
    source = Source()
    async with aclosing(one_ahead(source.numbers())) as numbers:
        async for number in numbers:
            await asyncio.sleep(0.01)
            assert source.made == number + 1
            if number == 5:
                break
    assert source.is_closed


async def test_an_error_comes_after_all_that_was_made_before_it() -> None:
    source = Source(error_at=2)
    numbers = one_ahead(source.numbers())
    assert [await anext(numbers), await anext(numbers)] == [1, 2]
    with pytest.raises(ValueError, match="no more"):
        await anext(numbers)
    assert source.is_closed


async def test_all_items_come_in_order() -> None:
    async def some() -> AsyncGenerator[int]:
        for number in range(5):
            yield number

    assert [number async for number in one_ahead(some())] == [0, 1, 2, 3, 4]
