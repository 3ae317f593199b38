"""A process hears of what others change, and goes on when Redis was away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from secrets import token_hex

import pytest

from service.caches.following import AT_ONCE, FORGOTTEN_SECONDS, Follower
from service.caches.ledgers import RedisVersions
from service.caches.redis import Redis, open_redis
from service.errors import RedisUnavailable
from tests.tools.servers import RunningRedis, redis_server

pytestmark = pytest.mark.anyio

NEVER_SECONDS = 3600.0
PATIENCE_SECONDS = 20.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def server() -> Iterator[RunningRedis]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def redis(server: RunningRedis) -> AsyncIterator[Redis]:
    async with open_redis(server.url, budget_seconds=5.0) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    return token_hex(16)


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110  # what is waited for announces nothing
            await asyncio.sleep(0.005)


async def test_a_followed_version_stays_current(redis: Redis, name: str) -> None:
    async with Follower(redis, every_seconds=0.01) as follower:
        clock = Clock()
        versions = RedisVersions(redis, follower, clock=clock)
        version = await versions.read(name)
        versions.follow(name)
        for _ in range(3):
            clock.now += 2
            assert versions.current(name) is None
            await eventually(lambda: versions.current(name) == version)


async def test_the_write_of_another_process_is_heard_at_once(server: RunningRedis, redis: Redis, name: str) -> None:
    async with Follower(redis, every_seconds=NEVER_SECONDS) as follower:
        versions = RedisVersions(redis, follower)
        await versions.read(name)
        versions.follow(name)
        await eventually(lambda: server.say("PUBSUB", "NUMSUB", "retrieval:changes").endswith("1"))
        async with RedisVersions(redis).write(name) as write:
            pass
        await eventually(lambda: versions.current(name) == write.version)


async def test_what_is_not_used_is_forgotten(redis: Redis) -> None:
    clock, reads = Clock(), {"used": 0, "unused": 0}

    async def read(key: str) -> None:
        reads[key] += 1

    async with Follower(redis, every_seconds=0.001, clock=clock) as follower:
        follower.watch("used", lambda: read("used"))
        follower.watch("unused", lambda: read("unused"))
        await eventually(lambda: all(reads.values()))
        clock.now += FORGOTTEN_SECONDS + 1
        follower.watch("used", lambda: read("used"))
        await eventually(lambda: len(follower._followed) == 1)
        before = dict(reads)
        await eventually(lambda: reads["used"] > before["used"] + 2)
        assert reads["unused"] == before["unused"]


async def test_redis_may_go_and_come_back_and_the_log_says_it_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "service.caches.following")
    with redis_server() as server:
        async with (
            open_redis(server.url, budget_seconds=5.0) as redis,
            Follower(redis, every_seconds=0.01) as follower,
        ):
            versions = RedisVersions(redis, follower)
            before = await versions.read(name)
            versions.follow(name)
            server.kill()
            await eventually(lambda: "re-reading what is kept in Redis fails" in caplog.text)
            await asyncio.sleep(0.2)
            server.restart()
            await eventually(lambda: versions.last(name) != before and versions.current(name) is not None)
            await eventually(lambda: "re-reading what is kept in Redis goes well again" in caplog.text)
    fails = [
        record for record in caplog.records if record.message.startswith("re-reading") and "fails" in record.message
    ]
    assert len(fails) == 1


async def test_the_log_says_that_listening_goes_well_before_anything_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "service.caches.following")
    with redis_server() as server:
        async with open_redis(server.url, budget_seconds=5.0) as redis, Follower(redis, every_seconds=0.01):
            await eventually(lambda: server.say("PUBSUB", "NUMSUB", "retrieval:changes").endswith("1"))
            server.kill()
            await eventually(lambda: "listening what is kept in Redis fails" in caplog.text)
            server.restart()
            await eventually(lambda: "listening what is kept in Redis goes well again" in caplog.text)


async def test_keys_that_cannot_be_read_keep_no_other_back(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    reads: list[str] = []

    async def read() -> None:
        reads.append("good")

    async def fail() -> None:
        raise RedisUnavailable("refused")

    async with Follower(redis, every_seconds=0.01) as follower:
        for number in range(AT_ONCE + 1):
            follower.watch(f"bad {number}", fail)
        follower.watch("good", read)
        await eventually(lambda: len(reads) > 2)
    assert caplog.text.count("refused") == 1
