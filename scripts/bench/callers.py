"""So many callers on one event loop, each with one call under way at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def ask_each(ask: Callable[[T], Awaitable[object]], asked: Iterable[T], callers: int) -> int:
    """Ask all of it, so many at the same time; returns how many that were."""
    pending, count = iter(asked), 0

    async def caller() -> None:
        nonlocal count
        for one in pending:
            await ask(one)
            count += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return count
