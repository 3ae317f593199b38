"""One holder at a time among all processes, for what is rare and must not meet itself."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Final

from service.caches.redis import Redis
from service.errors import RedisUnavailable, StoreUnavailable
from service.resilience.budgets import Budget, budgeted

logger = logging.getLogger(__name__)

LONGEST_MS: Final = 30_000
"""A holder that died lets go after so long."""
HELD_SECONDS: Final = 20.0
"""What is done under a lock is ended then: it must not meet what the next holder does."""
PAUSE_SECONDS: Final = 0.02
TRIES: Final = 500
CALL_SECONDS: Final = 1.0
RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@asynccontextmanager
async def alone(redis: Redis, name: str) -> AsyncIterator[None]:
    """Hold a name until the block ends; raises RedisUnavailable where it cannot be had within some ten seconds.

    Raises StoreUnavailable where the block takes too long.
    """
    key, token = f"retrieval:lock:{{{name}}}", token_hex(8)
    try:
        await _take(redis, key, token)
        try:
            async with asyncio.timeout(HELD_SECONDS):
                yield
        except TimeoutError as error:
            raise StoreUnavailable(f"A change did not come to an end in {HELD_SECONDS:g} s; try again.") from error
    finally:  # also where the answer to taking it was not waited for, or did not come
        await asyncio.shield(asyncio.create_task(_let_go(redis, key, token)))


async def _take(redis: Redis, key: str, token: str) -> None:
    for _ in range(TRIES):
        with budgeted(Budget(CALL_SECONDS)):
            replies = await redis.run(key, ("SET", key, token, "NX", "PX", LONGEST_MS))
        if replies.values[0]:
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise RedisUnavailable("Another process changes the same collection and does not come to an end; try again.")


async def _let_go(redis: Redis, key: str, token: str) -> None:
    try:
        with budgeted(Budget(CALL_SECONDS)):
            await redis.run(key, ("EVAL", RELEASE, 1, key, token))
    except RedisUnavailable as error:
        logger.warning("a lock is let go by Redis itself, in %g s at most: %s", LONGEST_MS / 1000, error)
