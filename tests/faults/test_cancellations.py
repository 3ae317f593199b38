"""Ten thousand callers who leave in the middle: nobody gets another's value, and no connection is lost."""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from service.caches.cache import Cache, Computed, Terms
from service.caches.deletions import Deletions
from service.caches.memory import MemoryTier
from service.caches.redis import open_redis
from service.caches.shared import SharedTier
from tests.tools.servers import redis_server

pytestmark = pytest.mark.anyio

CANCELLATIONS = 10_000
AT_ONCE = 200
CONNECTIONS = 20
TERMS = Terms(tenant="t", version="v", ttl_seconds=1)


@pytest.mark.slow
async def test_cancelled_callers_take_nothing_from_the_others() -> None:
    generator = random.Random(7)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(redis_server())
        redis = await stack.enter_async_context(open_redis(server.url, max_connections=CONNECTIONS, budget_seconds=5))
        deletions = Deletions(redis, None)
        shared = SharedTier(redis, deletions, compress=False)
        cache = Cache("result", MemoryTier(20_000), shared, deletions, trust_seconds=5)

        async def compute(keys: list[str], places: list[int]) -> list[Computed]:
            await asyncio.sleep(generator.random() * 0.003)
            return [Computed(keys[place].encode()) for place in places]

        async def ask() -> None:
            keys = [f"retrieval:v1:result:t:{generator.randrange(200)}" for _ in range(generator.randrange(1, 5))]
            found = await cache.get_or_compute(keys, TERMS, lambda places: compute(keys, places))
            assert [one.cached.value for one in found] == [key.encode() for key in keys]

        cancelled = served = 0
        while cancelled < CANCELLATIONS:
            callers = [asyncio.create_task(ask()) for _ in range(AT_ONCE)]
            for caller in generator.sample(callers, AT_ONCE * 3 // 4):
                await asyncio.sleep(generator.choice([0] * 9 + [0.0002]))
                caller.cancel()
            outcomes = await asyncio.gather(*callers, return_exceptions=True)
            cancelled += sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
            served += outcomes.count(None)
            assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
        await cache.close()
        (known,) = redis.servers
        assert served > CANCELLATIONS // 10
        assert cache.counts["redis", "hit"] > 0
        assert known.connections <= CONNECTIONS
        assert known.idle_connections == known.connections
        assert not known.breaker.is_open
