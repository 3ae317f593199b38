"""Deletions over a real Redis: what one process deletes, no other serves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from service.caches.base import Cached
from service.caches.deletions import Deletions, Scope
from service.caches.following import Follower
from service.caches.redis import open_redis
from service.errors import RedisUnavailable
from tests.tools.servers import redis_server

pytestmark = pytest.mark.anyio

OLD = Cached(value=b"", epoch=0, owner="ann", stored=0, ttl_seconds=60)


@pytest.fixture
async def processes() -> AsyncIterator[tuple[Deletions, Deletions]]:
    """Two processes' knowledge, over one Redis; the second one is told by nobody but Redis."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(redis_server()).url
        redis = [await stack.enter_async_context(open_redis(url, budget_seconds=5)) for _ in range(2)]
        follower = await stack.enter_async_context(Follower(redis[1]))
        yield Deletions(redis[0], None), Deletions(redis[1], follower)


async def test_what_one_process_deletes_the_other_refuses_before_it_serves(
    processes: tuple[Deletions, Deletions],
) -> None:
    one, other = processes
    await one.delete("t", Scope(kind="result"))
    await other.follow("t")
    assert not one.allows("t", OLD, "result", "things")
    assert not other.allows("t", OLD, "result", "things")
    assert other.allows("t", OLD, "embedding", "")
    assert other.allows("another", OLD, "result", "things")


async def test_numbers_rise_however_often_redis_is_emptied(processes: tuple[Deletions, Deletions]) -> None:
    one, other = processes
    numbers = []
    for _ in range(3):
        await one.delete("t", Scope(collection="things"))
        numbers.append(one.number("t"))
        redis = one._redis
        assert redis
        await redis.run("", ("FLUSHALL",))
    assert numbers == sorted(set(numbers))
    await other.follow("t")
    await other.delete("t", Scope(owner="ann"))
    assert other.number("t") > numbers[-1]


async def test_a_deletion_that_redis_did_not_hear_holds_here_and_is_not_acknowledged() -> None:
    with redis_server() as server:
        async with open_redis(server.url) as redis:
            deletions = Deletions(redis, None)
            server.kill()
            with pytest.raises(RedisUnavailable):
                await deletions.delete("t", Scope())
            assert not deletions.allows("t", OLD, "result", "things")


async def test_deletions_older_than_anything_cached_are_forgotten(processes: tuple[Deletions, Deletions]) -> None:
    one, _ = processes
    redis = one._redis
    assert redis
    key = "retrieval:deletions:{t}"
    await redis.run(key, ("HSET", key, "//longago", 1))
    await one.delete("t", Scope(owner="ann"))
    fields = (await redis.run(key, ("HKEYS", key))).values[0]
    assert set(fields) == {b"latest", b"//ann"}
