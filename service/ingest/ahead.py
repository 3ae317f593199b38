"""Making the next thing while the present one is used."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def one_ahead(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yield the items; while the caller uses one the next is being made, never more. Closes `items` at the end."""
    following = asyncio.create_task(_next(items))
    try:
        while found := await following:
            following = asyncio.create_task(_next(items))
            yield found[0]
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await items.aclose()


async def _next(items: AsyncGenerator[T]) -> tuple[T] | None:
    async for item in items:
        return (item,)
    return None
