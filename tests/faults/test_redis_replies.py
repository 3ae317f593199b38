"""A Redis that refuses, breaks off or lies gives an error, never a wrong value, and its other replies are used."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from service.caches.redis import Redis
from service.errors import RedisUnavailable
from tests.faults.asking import connections, get, is_well, opened, outcomes, until, until_well, works_again
from tests.tools.running import free_port
from tests.tools.servers import Proxy, RunningRedis, redis_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop that the service runs on; the contract of Redis is tested on Python's own."""
    return "asyncio", {"use_uvloop": True}


async def test_a_full_redis_refuses_writes_and_goes_on_reading() -> None:
    async def write(redis: Redis, number: int) -> Any:
        return await redis.run("b", ("SET", f"b{number}", bytes(10_000)))

    async def write_many(redis: Redis) -> Any:
        return await redis.run_many([("b", ("SET", "b", bytes(10_000)))])

    with redis_server("--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        server.say("SET", "a", "value of a")
        async with opened(server.port) as redis:
            found = [(await outcomes(write(redis, number)))[0] for number in range(500)]
            assert isinstance(found[-1], RedisUnavailable)
            assert str(found[-1]).startswith("Redis refused SET: OOM")
            with pytest.raises(RedisUnavailable, match="OOM"):
                await write_many(redis)
            assert await get(redis) == b"value of a"
            assert not redis.is_open


async def test_a_read_only_redis_refuses_writes_and_goes_on_reading(server: RunningRedis) -> None:
    async with opened(server.port) as redis:
        await get(redis)
        server.say("REPLICAOF", "127.0.0.1", free_port())
        for _ in range(10):
            with pytest.raises(RedisUnavailable, match="READONLY"):
                await redis.run("a", ("GET", "a"), ("SET", "a", "other"))
            assert await get(redis) == b"value of a"
        assert not redis.is_open


async def test_a_replica_that_lost_its_master_is_left_alone(server: RunningRedis) -> None:
    async with opened(server.port) as redis:
        await get(redis)
        server.say("CONFIG", "SET", "replica-serve-stale-data", "no")
        server.say("REPLICAOF", "127.0.0.1", free_port())
        found = await outcomes(*(get(redis) for _ in range(3)))
        assert all("MASTERDOWN" in str(outcome) for outcome in found)
        assert redis.is_open
        server.say("REPLICAOF", "NO", "ONE")
        await works_again(redis)


async def test_a_running_script_is_a_failure_and_not_a_value(server: RunningRedis) -> None:
    async with opened(server.port, 0.05) as redis:
        server.say("CONFIG", "SET", "lua-time-limit", 10)
        await outcomes(redis.run("a", ("EVAL", "while true do end", 0)))
        for _ in range(5):
            assert isinstance((await outcomes(get(redis)))[0], RedisUnavailable)
        assert redis.is_open
        server.say("SCRIPT", "KILL")
        await until_well(redis)


@pytest.mark.parametrize(("kind", "attributes"), [("limit_data", {"bytes": 30_000}), ("reset_peer", {"timeout": 5})])
async def test_a_reply_that_breaks_off_is_an_error(
    server: RunningRedis, proxy: Proxy, kind: str, attributes: dict[str, int]
) -> None:
    async with opened(proxy.port) as redis:
        await redis.run("long", ("SET", "long", bytes(5_000_000)))
        proxy.poison(kind, attributes)
        found = await outcomes(*(get(redis, "long") for _ in range(20)))
        assert all(isinstance(outcome, RedisUnavailable) for outcome in found)
        proxy.heal()
        await works_again(redis)
        assert await get(redis, "long") == bytes(5_000_000)
        assert connections(server) == redis.servers[0].connections


async def test_replies_in_small_slices_are_put_together(proxy: Proxy) -> None:
    async with opened(proxy.port) as redis:
        await redis.run("long", ("SET", "long", bytes(range(256)) * 20))
        proxy.poison("slicer", {"average_size": 100, "size_variation": 50, "delay": 10})
        for outcome in await outcomes(*(get(redis, "long") for _ in range(20))):
            assert outcome == bytes(range(256)) * 20


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$5\r\nab", b"+OK\r\n" * 20, b":1\r\n", b"*-7\r\n", b"\x00\xff" * 50],
)
async def test_a_server_that_is_no_redis_gives_errors(answer: bytes) -> None:
    async with listening(answer) as port, opened(port, 0.05) as redis:
        assert redis.is_open
        assert all(isinstance(one, RedisUnavailable) for one in await outcomes(*(get(redis) for _ in range(20))))


async def test_a_redis_that_turns_to_a_policy_that_evicts_versions_is_not_used(
    server: RunningRedis, caplog: pytest.LogCaptureFixture
) -> None:
    def complaints() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]

    async with opened(server.port) as redis:
        server.say("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        server.say("CLIENT", "KILL", "TYPE", "normal")  # as a restart with another configuration would
        while not complaints():
            assert not await is_well(redis)
            await asyncio.sleep(0.05)
        failures = redis.servers[0].breaker.failures
        await until(lambda: redis.servers[0].breaker.failures >= failures + 2)  # two more probes
        server.say("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        await works_again(redis)
        (complaint,) = complaints()
    assert "allkeys-lru: under memory pressure it may evict the versions" in complaint


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[int]:
    """Listen on a port and say the same to whatever comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(10_000):
                writer.write(answer)
                await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]
