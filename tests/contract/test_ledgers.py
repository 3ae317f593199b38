"""Writes and reads keep the promises of versions over a real Redis, whatever happens to it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from secrets import token_hex
from typing import Final

import pytest

from service.caches.following import CHANNEL
from service.caches.ledgers import RedisVersions, ledger_key
from service.caches.redis import Redis, open_redis
from service.errors import RedisUnavailable
from tests.tools.servers import RunningRedis, redis_server, wait_until

pytestmark = pytest.mark.anyio

GENEROUS_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningRedis]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def redis(server: RunningRedis) -> AsyncIterator[Redis]:
    async with open_redis(server.url, budget_seconds=GENEROUS_SECONDS) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    return token_hex(16)


async def test_what_one_process_writes_the_others_read(redis: Redis, name: str) -> None:
    writer, reader = RedisVersions(redis), RedisVersions(redis)
    before = await reader.read(name)
    async with writer.write(name) as write:
        assert await reader.read(name) == before
    assert writer.current(name) == writer.last(name) == write.version != before
    assert await reader.read(name) == write.version
    assert reader.proves(name, before)
    assert not RedisVersions(redis).proves(name, before)


async def test_a_write_that_changed_nothing_leaves_the_version(redis: Redis, name: str) -> None:
    versions = RedisVersions(redis)
    before = await versions.read(name)
    async with versions.write(name) as write:
        write.is_void = True
    assert write.version == await RedisVersions(redis).read(name) == before


async def test_a_write_is_told_on_the_channel(redis: Redis, name: str) -> None:
    async with aclosing(redis.messages(CHANNEL)) as messages:
        heard = asyncio.ensure_future(anext(messages))
        while not (await redis.run("", ("PUBSUB", "NUMSUB", CHANNEL))).values[0][1]:  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.01)
        async with RedisVersions(redis).write(name):
            pass
        assert await asyncio.wait_for(heard, PATIENCE_SECONDS) == ledger_key(name).encode()


async def test_a_writer_that_died_raises_the_version_when_its_token_expires(redis: Redis, name: str) -> None:
    dying, reader = RedisVersions(redis, token_ms=1), RedisVersions(redis)
    before = await reader.read(name)
    await dying._change(name, "begin", "token")
    await asyncio.sleep(0.005)
    after = await reader.read(name)
    assert after != before
    assert await reader.read(name) == after


async def test_a_long_write_keeps_its_token(redis: Redis, name: str) -> None:
    versions = RedisVersions(redis, token_ms=600)
    before = await versions.read(name)
    await asyncio.sleep(0.7)
    healed = await versions.read(name)  # the ghost of the new ledger has gone
    assert healed != before
    async with versions.write(name) as write:
        await asyncio.sleep(1)
        assert await RedisVersions(redis).read(name) == healed
    assert write.version not in {before, healed}


async def test_a_write_that_fails_raises_the_version_now_and_when_it_may_have_come_late(
    redis: Redis, name: str
) -> None:
    versions = RedisVersions(redis, token_ms=500)
    seen = {await versions.read(name)}
    with pytest.raises(ValueError, match="of the store"):
        async with versions.write(name):
            raise ValueError("of the store")
    seen.add(await RedisVersions(redis).read(name))
    assert len(seen) == 2
    await asyncio.sleep(0.6)
    assert await RedisVersions(redis).read(name) not in seen


async def test_a_cancelled_write_raises_the_version(redis: Redis, name: str) -> None:
    versions = RedisVersions(redis)
    before, entered = await versions.read(name), asyncio.Event()

    async def write() -> None:
        async with versions.write(name):
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write())
    await entered.wait()
    task.cancel()
    await asyncio.wait({task})
    await versions.close()
    assert task.cancelled()
    assert await RedisVersions(redis).read(name) != before


async def test_who_leaves_while_redis_answers_breaks_nothing_off(server: RunningRedis, redis: Redis, name: str) -> None:
    settling, beginning = RedisVersions(redis), RedisVersions(redis)
    before = await settling.read(name)
    async with RedisVersions(redis).write(name):
        server.freeze()
        try:
            tasks = [asyncio.create_task(settling.settle(name)), asyncio.create_task(begin(beginning, name))]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        finally:
            server.thaw()
        await settling.close()
        await beginning.close()
        assert settling.last(name) not in {None, before}
        assert beginning.last(name) is not None


async def begin(versions: RedisVersions, name: str) -> None:
    async with versions.write(name):
        pytest.fail("the store must not be touched")


async def test_a_full_redis_refuses_to_begin_and_lets_finish(server: RunningRedis, redis: Redis, name: str) -> None:
    versions = RedisVersions(redis)
    before = await versions.read(name)
    try:
        async with versions.write(name) as write:
            server.say("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(RedisUnavailable, match="nothing was written"):
                async with versions.write(name):
                    pytest.fail("the store must not be touched")
        assert write.version != before
        assert await RedisVersions(redis).read(name) == write.version
    finally:
        server.say("CONFIG", "SET", "maxmemory", "0")


async def test_a_restart_with_the_same_content_is_another_version(name: str) -> None:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        async with open_redis(server.url, budget_seconds=GENEROUS_SECONDS) as redis:
            versions = RedisVersions(redis)
            before = await versions.read(name)
            server.restart()
            assert server.say("HGET", ledger_key(name), "n") in before
            after = await eventually_read(versions, name)
            assert after != before
            assert not versions.proves(name, before)
            assert versions.current(name) == after


async def test_a_master_that_comes_back_with_an_older_copy_is_not_believed(name: str) -> None:
    at_once = ("--repl-diskless-sync-delay", "0")
    with redis_server(*at_once) as first, redis_server(*at_once) as second:
        async with open_redis(first.url, budget_seconds=GENEROUS_SECONDS) as redis:
            versions = RedisVersions(redis)
            replicate(second, first)
            older = await versions.read(name)
            wait_until(lambda: second.say("HGET", ledger_key(name), "n") == older.partition(".")[2])
            second.say("REPLICAOF", "NO", "ONE")
            async with versions.write(name) as lost:
                pass
            replicate(first, second)
            first.say("REPLICAOF", "NO", "ONE")
            assert first.say("HGET", ledger_key(name), "n") == older.partition(".")[2]
            after = await RedisVersions(redis).read(name)
            assert after not in {older, lost.version}
            assert await eventually_read(versions, name) == after


async def test_without_redis_nothing_is_written_or_nothing_is_acknowledged(name: str) -> None:
    with redis_server() as server:
        async with open_redis(server.url, budget_seconds=GENEROUS_SECONDS) as redis:
            versions = RedisVersions(redis)
            before = await versions.read(name)
            with pytest.raises(RedisUnavailable, match="the same request again is safe"):
                async with versions.write(name):
                    server.kill()
            assert versions.current(name) is None
            assert versions.last(name) == before
            with pytest.raises(RedisUnavailable, match="nothing was written"):
                async with versions.write(name):
                    pytest.fail("the store must not be touched")


async def test_a_write_may_be_allowed_without_redis(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        async with open_redis(server.url, budget_seconds=GENEROUS_SECONDS) as redis:
            versions = RedisVersions(redis, writes="allow")
            before = await versions.read(name)
            server.kill()
            async with versions.write(name) as write:
                pass
            assert write.version.startswith("local-")
            assert versions.last(name) == write.version
            assert versions.current(name) is None
            assert versions.proves(name, write.version)
            assert not versions.proves(name, before)
            assert "without Redis" in caplog.text
            server.restart()
            after = await eventually_read(versions, name)
            assert after not in {before, write.version}
            assert versions.current(name) == await RedisVersions(redis).read(name) == after


def replicate(replica: RunningRedis, master: RunningRedis) -> None:
    replica.say("REPLICAOF", "127.0.0.1", master.port)
    wait_until(lambda: "master_link_status:up" in replica.say("INFO", "replication"))


async def eventually_read(versions: RedisVersions, name: str) -> str:
    """Read once the connections are made anew."""
    while True:
        try:
            return await versions.read(name)
        except RedisUnavailable:
            await asyncio.sleep(0.05)


async def test_what_waits_for_the_writes_under_way_waits_for_no_later_ones(redis: Redis, name: str) -> None:
    writer, waiting = RedisVersions(redis), RedisVersions(redis, token_ms=300)
    await waiting.read(name)  # begins the ledger, as for a write that was lost: its token is soon over
    await asyncio.wait_for(waiting.outlast(name), PATIENCE_SECONDS)
    async with writer.write(name):
        outlasting = asyncio.create_task(waiting.outlast(name))
        await asyncio.sleep(0.3)
        assert not outlasting.done()
        later = writer.write(name)
        await later.__aenter__()
    await asyncio.wait_for(outlasting, PATIENCE_SECONDS)
    await later.__aexit__(None, None, None)


async def test_a_dead_writer_is_waited_for_until_its_token_expires(redis: Redis, name: str) -> None:
    dying = RedisVersions(redis, token_ms=300)
    await dying.read(name)
    with pytest.raises(RuntimeError, match="dies"):
        async with dying.write(name):
            raise RuntimeError("dies")
    await asyncio.wait_for(RedisVersions(redis).outlast(name), PATIENCE_SECONDS)
