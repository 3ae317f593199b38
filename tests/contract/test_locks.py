"""A lock lets one holder in at a time, whichever process it is in, and outlives nobody."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.caches import locks
from service.caches.locks import alone
from service.caches.redis import Redis, open_redis
from service.errors import RedisUnavailable, StoreUnavailable
from tests.tools.servers import RunningRedis, redis_server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncIterator[RunningRedis]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def redis(server: RunningRedis) -> AsyncIterator[Redis]:
    async with open_redis(server.url) as opened:
        yield opened


async def test_one_holder_is_in_at_a_time(redis: Redis) -> None:
    inside, most, entered = 0, 0, 0

    async def enter() -> None:
        nonlocal inside, most, entered
        async with alone(redis, "documents"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
            entered += 1

    await asyncio.gather(*(enter() for _ in range(8)))
    assert (most, entered) == (1, 8)


async def test_holders_of_other_names_do_not_wait(redis: Redis) -> None:
    async with alone(redis, "documents"), alone(redis, "faq"):
        pass


async def test_a_lock_is_free_after_a_failure(redis: Redis, server: RunningRedis) -> None:
    with pytest.raises(ZeroDivisionError):
        async with alone(redis, "documents"):
            raise ZeroDivisionError
    assert server.say("KEYS", "*") == ""


async def test_a_lock_that_is_never_free_is_given_up(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "TRIES", 3)
    async with alone(redis, "documents"):
        with pytest.raises(RedisUnavailable, match="try again"):
            async with alone(redis, "documents"):
                pass


async def test_what_another_holds_by_now_is_left_to_it(redis: Redis, server: RunningRedis) -> None:
    async with alone(redis, "documents"):
        server.say("SET", "retrieval:lock:{documents}", "another")
    assert server.say("GET", "retrieval:lock:{documents}") == "another"


async def test_a_holder_that_died_lets_go_by_itself(redis: Redis, server: RunningRedis) -> None:
    async with alone(redis, "documents"):
        assert 0 < int(server.say("PTTL", "retrieval:lock:{documents}")) <= locks.LONGEST_MS


async def test_a_lock_is_free_after_one_that_left_before_it_had_the_answer(server: RunningRedis) -> None:
    async with open_redis(server.url, budget_seconds=30) as redis:
        for turns in range(20):

            async def enter() -> None:
                async with alone(redis, "documents"):
                    await asyncio.sleep(60)

            entering = asyncio.create_task(enter())
            for _ in range(turns):
                await asyncio.sleep(0)
            entering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await entering
        assert server.say("KEYS", "*") == ""


async def test_what_takes_longer_than_a_lock_lasts_is_ended(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HELD_SECONDS", 0.01)
    assert locks.HELD_SECONDS * 1000 < locks.LONGEST_MS
    with pytest.raises(StoreUnavailable, match="try again"):
        async with alone(redis, "documents"):
            await asyncio.sleep(60)
    async with alone(redis, "documents"):
        pass
