"""One holder at a time among all processes, for what is rare and must not meet itself."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Final

from service.caches.redis import Redis
from service.errors import RedisUnavailable
from service.resilience.budgets import Budget, budgeted

logger = logging.getLogger(__name__)

LONGEST_MS: Final = 30_000
"""A holder that died lets go after so long. It is far longer than what is done under a lock."""
PAUSE_SECONDS: Final = 0.02
TRIES: Final = 500
CALL_SECONDS: Final = 1.0
RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@asynccontextmanager
async def alone(redis: Redis, name: str) -> AsyncIterator[None]:
    """Hold a name until the block ends; raises RedisUnavailable where it cannot be had within some ten seconds."""
    key, token = f"retrieval:lock:{{{name}}}", token_hex(8)
    for _ in range(TRIES):
        with budgeted(Budget(CALL_SECONDS)):
            replies = await redis.run(key, ("SET", key, token, "NX", "PX", LONGEST_MS))
        if replies.values[0]:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    else:
        raise RedisUnavailable("Another process changes the same collection and does not come to an end; try again.")
    try:
        yield
    finally:
        try:
            with budgeted(Budget(CALL_SECONDS)):
                await redis.run(key, ("EVAL", RELEASE, 1, key, token))
        except RedisUnavailable as error:
            logger.warning("a lock is let go by Redis itself, in %g s at most: %s", LONGEST_MS / 1000, error)
