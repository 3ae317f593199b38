"""How long a search may take, the same for every kind of search."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import DeadlineExceeded


@asynccontextmanager
async def search_deadline(seconds: float) -> AsyncIterator[None]:
    """Cancel the block after so many seconds and raise DeadlineExceeded in its place."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise DeadlineExceeded(f"The search took longer than {seconds} s; try again.") from None
