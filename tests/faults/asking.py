"""What the tests of an unwell Redis ask of it, and when they call it well again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from service.caches.redis import Redis, open_redis
from service.errors import RedisUnavailable
from tests.tools.servers import RunningRedis

CONNECTIONS = 10
NEVER_SECONDS = 120.0
"""Whatever is still waited for then hangs."""
ROOMY_SECONDS = 5.0
"""A budget that a busy machine does not use up, where the test is not about time."""


def opened(port: int, budget_seconds: float = ROOMY_SECONDS) -> AbstractAsyncContextManager[Redis]:
    return open_redis(f"redis://127.0.0.1:{port}", max_connections=CONNECTIONS, budget_seconds=budget_seconds)


async def get(redis: Redis, key: str = "a") -> Any:
    return (await redis.run(key, ("GET", key))).values[0]


async def outcomes(*calls: Awaitable[Any]) -> list[Any]:
    """Return what came of calls at the same time, errors too; fails where one hangs or raises what it should not."""
    async with asyncio.timeout(NEVER_SECONDS):
        found = await asyncio.gather(*calls, return_exceptions=True)
    for outcome in found:
        if isinstance(outcome, BaseException) and not isinstance(outcome, RedisUnavailable):
            raise outcome
    return found


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(NEVER_SECONDS):
        while not is_so():  # noqa: ASYNC110  # nobody sets an event in another process
            await asyncio.sleep(0.01)


async def until_well(redis: Redis) -> None:
    async with asyncio.timeout(NEVER_SECONDS):
        while not await is_well(redis):  # noqa: ASYNC110  # the same
            await asyncio.sleep(0.01)


async def is_well(redis: Redis) -> bool:
    with suppress(RedisUnavailable):
        return bool(await get(redis) == b"value of a")
    return False


async def works_again(redis: Redis) -> None:
    """Wait until Redis is used again, then see that nothing of what was wrong is left."""
    await until_well(redis)
    found = await outcomes(*(redis.run(key, ("ECHO", key)) for key in map(str, range(200))))
    assert [replies.values for replies in found] == [[str(key).encode()] for key in range(200)]
    assert not redis.is_open


def connections(server: RunningRedis) -> int:
    """Count the server's connections but for the one that asks."""
    (line,) = [line for line in server.say("INFO", "clients").splitlines() if line.startswith("connected_clients:")]
    return int(line.partition(":")[2]) - 1
