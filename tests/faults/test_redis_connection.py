"""A Redis that is dead, slow or frozen costs a bounded time and an error, and is used again when it is well."""

import asyncio
import random
import time

import pytest

from service.caches.redis import Redis, open_redis
from service.errors import RedisUnavailable
from service.resilience.breakers import FAILURES_IN_A_ROW
from service.resilience.budgets import Budget, budgeted
from tests.faults.asking import (
    CONNECTIONS,
    ROOMY_SECONDS,
    connections,
    get,
    opened,
    outcomes,
    until,
    until_well,
    works_again,
)
from tests.tools.running import free_port
from tests.tools.servers import Proxy, RunningRedis, redis_cluster, redis_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop that the service runs on; the contract of Redis is tested on Python's own."""
    return "asyncio", {"use_uvloop": True}


async def test_redis_may_be_dead_at_the_start_and_come_later(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    async with opened(port) as redis:
        assert redis.is_open
        found = await outcomes(*(get(redis) for _ in range(100)))
        assert all(isinstance(outcome, RedisUnavailable) for outcome in found)
        with redis_server(port=port) as server:
            server.say("SET", "a", "value of a")
            await works_again(redis)
    assert [record.getMessage().partition(" is ")[2][:10] for record in caplog.records] == ["left alone", "used again"]


async def test_a_killed_redis_is_used_again_when_it_is_back(server: RunningRedis) -> None:
    async with opened(server.port) as redis:
        for _ in range(2):
            assert await get(redis) == b"value of a"
            server.kill()
            found = await outcomes(*(get(redis) for _ in range(100)))
            assert all(isinstance(outcome, RedisUnavailable) for outcome in found)
            server.restart()
            server.say("SET", "a", "value of a")
            await works_again(redis)


async def test_a_frozen_redis_keeps_nobody_and_is_used_again_when_it_thaws(server: RunningRedis) -> None:
    async with opened(server.port, 0.5) as redis:
        await outcomes(*(get(redis) for _ in range(50)))
        server.freeze()
        found = await outcomes(*(get(redis) for _ in range(50)))
        assert all(isinstance(outcome, RedisUnavailable) for outcome in found)
        assert redis.is_open
        with pytest.raises(RedisUnavailable, match="left alone"):
            await get(redis)
        assert redis.servers[0].connections == 0
        server.thaw()
        await until_well(redis)
        assert redis.servers[0].connections <= CONNECTIONS
        assert connections(server) == redis.servers[0].connections


async def test_calls_under_way_end_when_a_few_have_shown_that_redis_is_frozen(server: RunningRedis) -> None:
    async with opened(server.port, 0.5) as redis:
        await outcomes(*(get(redis) for _ in range(50)))
        server.freeze()
        first = [asyncio.ensure_future(get(redis)) for _ in range(FAILURES_IN_A_ROW)]
        with budgeted(Budget(20)):  # their own time would not end them soon
            others = [asyncio.ensure_future(get(redis)) for _ in range(2 * CONNECTIONS)]  # half wait for a connection
        found = await outcomes(*first, *others)
        assert all(isinstance(outcome, RedisUnavailable) for outcome in found)
        ended = [outcome for outcome in found if "left alone" in str(outcome)]
        assert len(ended) >= len(others) - FAILURES_IN_A_ROW  # on a busy machine, others may be those that show it
        assert redis.servers[0].breaker.failures >= FAILURES_IN_A_ROW
        server.thaw()
        await works_again(redis)


async def test_a_redis_that_is_frozen_at_the_start_keeps_nobody(server: RunningRedis) -> None:
    server.freeze()
    async with opened(server.port) as redis:
        assert redis.is_open
        assert all(isinstance(one, RedisUnavailable) for one in await outcomes(*(get(redis) for _ in range(50))))
        server.thaw()
        await works_again(redis)


async def test_a_slow_redis_is_left_alone_until_it_is_quick(proxy: Proxy) -> None:
    async with opened(proxy.port, 3.0) as redis:
        await until_well(redis)
        proxy.poison("latency", {"latency": 2_200})
        for _ in range(2 * FAILURES_IN_A_ROW):  # of which some may count as this machine's fault
            assert await get(redis) == b"value of a"  # in time, and too slow
            if redis.is_open:
                break
        assert redis.is_open
        with pytest.raises(RedisUnavailable, match="left alone"):
            await get(redis)
        proxy.heal()
        await until_well(redis)


async def test_redis_is_not_blamed_where_the_process_itself_was_busy(server: RunningRedis) -> None:
    async with opened(server.port, 0.5) as redis:
        await outcomes(*(get(redis) for _ in range(CONNECTIONS)))
        for _ in range(5):
            calls = [asyncio.ensure_future(get(redis)) for _ in range(CONNECTIONS)]
            await asyncio.sleep(0)
            time.sleep(0.6)  # noqa: ASYNC251  # what blocks the loop is the point
            assert await outcomes(*calls) == [b"value of a"] * CONNECTIONS
        assert redis.servers[0].breaker.failures == 0


async def test_a_frozen_node_of_a_cluster_costs_only_its_own_keys() -> None:
    keys = [str(number) for number in range(30)]
    with redis_cluster() as cluster:
        async with open_redis(cluster.url, max_connections=CONNECTIONS, budget_seconds=1.0) as redis:
            runs = {key: (await redis.run(key, ("GET", key))).run for key in keys}
            frozen = f"run_id:{runs[keys[0]]}"
            (node,) = [node for node in cluster.nodes if frozen in node.say("INFO", "server")]
            node.freeze()
            for _ in range(10):
                found = dict(zip(keys, await outcomes(*(redis.run(key, ("GET", key)) for key in keys)), strict=True))
                for key, outcome in found.items():
                    is_lost = runs[key] == runs[keys[0]]
                    assert isinstance(outcome, RedisUnavailable) == is_lost, key
            assert [server.breaker.is_open for server in redis.servers].count(True) == 1
            node.thaw()
            await until(lambda: not redis.is_open)
            assert len(await redis.run_many([(key, ("GET", key)) for key in keys])) == len(keys)


async def test_a_cluster_may_be_dead_at_the_start_and_come_later() -> None:
    with redis_cluster() as cluster:
        for node in cluster.nodes:
            node.freeze()
        async with open_redis(cluster.url, budget_seconds=1.0) as redis:
            found = await outcomes(*(get(redis) for _ in range(10)))
            assert all(isinstance(outcome, RedisUnavailable) for outcome in found)
            for node in cluster.nodes:
                node.thaw()
            await until(lambda: len(redis.servers) == len(cluster.nodes) and not redis.is_open)
            await redis.run("a", ("SET", "a", "value of a"))
            await works_again(redis)


async def test_the_calls_of_a_request_share_its_budget(proxy: Proxy) -> None:
    async with opened(proxy.port) as redis:
        await get(redis)
        proxy.poison("latency", {"latency": 600})
        with budgeted(Budget(1.0)):
            assert await get(redis) == b"value of a"
            with pytest.raises(RedisUnavailable, match="within"):
                await get(redis)
            with pytest.raises(RedisUnavailable, match=r"within|spent its time"):
                await get(redis)
        assert await get(redis) == b"value of a"  # the next request
        assert not redis.is_open  # Redis is not slow by its own budget


async def test_a_flapping_redis_gives_values_or_errors_and_nothing_else(proxy: Proxy) -> None:
    seen = set()
    async with opened(proxy.port) as redis:
        for is_cut in (True, False) * 3:
            proxy.cut(is_cut=is_cut)
            for _ in range(10):
                for outcome in await outcomes(*(get(redis) for _ in range(10))):
                    seen.add(outcome if isinstance(outcome, bytes) else type(outcome))
                await asyncio.sleep(0.02)
        await works_again(redis)
    assert seen <= {b"value of a", RedisUnavailable}


async def test_cancelled_calls_mix_no_replies_and_leak_no_connections(server: RunningRedis) -> None:
    chance = random.Random(4)
    lasting = "for i = 1, 3000 do end return ARGV[1]"  # so that calls are cancelled while Redis is at work

    async def call(redis: Redis, number: int) -> None:
        word = b"%d" % number * chance.randint(1, 5)
        if number % 5 == 0:
            assert await redis.run_many([("a", ("ECHO", word)), ("a", ("ECHO", b"2" + word))]) == [word, b"2" + word]
        else:
            assert (await redis.run("a", ("EVAL", lasting, 0, word), ("PING",))).values == [word, b"PONG"]

    async with opened(server.port) as redis:
        cancelled = 0
        while cancelled < 2_000:
            calls = [asyncio.create_task(call(redis, number)) for number in range(2 * CONNECTIONS)]
            await asyncio.sleep(chance.random() / 500)
            for victim in chance.sample(calls, CONNECTIONS):
                victim.cancel()
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert outcome is None or isinstance(outcome, asyncio.CancelledError)
                cancelled += outcome is not None
        await works_again(redis)
        assert redis.servers[0].connections == redis.servers[0].idle_connections <= CONNECTIONS
        assert connections(server) == redis.servers[0].connections
    await until(lambda: connections(server) == 0)


async def test_an_idle_connection_is_pinged_before_it_is_used_again(server: RunningRedis) -> None:
    async with open_redis(server.url, health_check_seconds=0.05, budget_seconds=ROOMY_SECONDS) as redis:
        await get(redis)
        assert "cmdstat_ping" in server.say("INFO", "commandstats")  # redis_server itself, when it started
        server.say("CONFIG", "RESETSTAT")
        await asyncio.sleep(0.2)
        assert await get(redis) == b"value of a"
        await until(lambda: "cmdstat_ping" in server.say("INFO", "commandstats"))
        assert redis.servers[0].connections <= 2


async def test_messages_break_off_with_an_error_when_redis_dies(server: RunningRedis) -> None:
    async with opened(server.port) as redis:
        messages = redis.messages("news")
        first = asyncio.ensure_future(anext(messages))
        await until(lambda: "news" in server.say("PUBSUB", "CHANNELS"))
        server.kill()
        assert isinstance((await outcomes(first))[0], RedisUnavailable)
        assert isinstance((await outcomes(anext(redis.messages("news"))))[0], RedisUnavailable)


async def test_messages_break_off_with_an_error_when_redis_freezes(server: RunningRedis) -> None:
    async with open_redis(server.url, health_check_seconds=0.2, budget_seconds=ROOMY_SECONDS) as redis:
        first = asyncio.ensure_future(anext(redis.messages("news")))
        await until(lambda: "news" in server.say("PUBSUB", "CHANNELS"))
        await asyncio.sleep(0.5)
        assert not first.done()  # silence alone is no failure
        server.freeze()
        assert isinstance((await outcomes(first))[0], RedisUnavailable)
        server.thaw()


async def test_a_closed_redis_refuses_calls(server: RunningRedis) -> None:
    async with opened(server.port) as redis:
        await get(redis)
    assert isinstance((await outcomes(get(redis)))[0], RedisUnavailable)
