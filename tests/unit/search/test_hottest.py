"""The list of the hottest requests outlives the process, wherever it is kept and whatever others write there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from service.caches.redis import Redis, open_redis
from service.errors import RedisUnavailable
from service.search.hottest import KEY, MOST_KEPT, FileHotList, Hot, HotList, RedisHotList
from tests.tools.servers import RunningRedis, redis_server

pytestmark = pytest.mark.anyio

HOT = [Hot("t", "/search", b'{"query":"%d"}' % number) for number in range(3)]
FOREIGN = [
    b"rubbish",
    b"",
    msgspec.msgpack.encode(["t", "/search", b"{}"]),
    msgspec.msgpack.encode({"tenant": "t", "path": "/search"}),
    msgspec.msgpack.encode({"tenant": 1, "path": "/search", "body": b"{}"}),
    msgspec.msgpack.encode({"tenant": "ab", "path": "/search", "body": b"{}"}).replace(b"ab", b"\xff\xff"),
    msgspec.msgpack.encode({"more": None})[:-1] + b"\x91" * 100_000 + b"\xc0",
]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningRedis]:
    with redis_server() as started:
        yield started


@pytest.fixture
async def redis(server: RunningRedis) -> AsyncIterator[Redis]:
    server.say("FLUSHALL")
    async with open_redis(server.url, budget_seconds=5) as opened:
        yield opened


@pytest.fixture(params=["file", "redis"])
async def hot_list(request: pytest.FixtureRequest, redis: Redis, tmp_path: Path) -> HotList:
    return RedisHotList(redis) if request.param == "redis" else FileHotList(tmp_path / "hot")


async def test_the_hottest_come_first(hot_list: HotList) -> None:
    assert await hot_list.read(10) == []
    await hot_list.add([(HOT[0], 2), (HOT[1], 5)])
    await hot_list.add([])
    await hot_list.add([(HOT[0], 1), (HOT[2], 1)])
    assert await hot_list.read(10) == [HOT[1], HOT[0], HOT[2]]
    assert await hot_list.read(2) == [HOT[1], HOT[0]]


async def test_what_is_asked_least_is_dropped_beyond_a_thousand(hot_list: HotList) -> None:
    requests = [Hot("t", "/search", b"%d" % number) for number in range(MOST_KEPT + 10)]
    await hot_list.add([(hot, 10 + number) for number, hot in enumerate(requests)])
    assert await hot_list.read(2 * MOST_KEPT) == requests[: -MOST_KEPT - 1 : -1]


async def test_writers_at_the_same_time_lose_nothing(hot_list: HotList) -> None:
    await asyncio.gather(*(hot_list.add([(HOT[0], 1), (hot, 1)]) for hot in HOT[1:] * 10))
    found = await hot_list.read(10)
    assert (found[0], {*map(msgspec.msgpack.encode, found)}) == (HOT[0], {*map(msgspec.msgpack.encode, HOT)})


async def test_processes_share_the_list_in_redis(redis: Redis, server: RunningRedis) -> None:
    async with open_redis(server.url, budget_seconds=5) as other:
        await RedisHotList(redis).add([(HOT[0], 2), (HOT[1], 3)])
        await RedisHotList(other).add([(HOT[0], 2)])
    assert await RedisHotList(redis).read(2) == HOT[:2]
    assert int(server.say("TTL", KEY)) > 0


async def test_what_others_wrote_into_redis_is_passed_over(redis: Redis) -> None:
    await redis.run(KEY, *(("ZADD", KEY, 1e30, member) for member in FOREIGN))
    await RedisHotList(redis).add([(HOT[0], 1)])
    assert await RedisHotList(redis).read(10) == [HOT[0]]


async def test_a_key_of_another_type_is_an_empty_list_and_is_left_alone(redis: Redis, server: RunningRedis) -> None:
    server.say("SET", KEY, "no list")
    assert await RedisHotList(redis).read(10) == []
    await RedisHotList(redis).add([(HOT[0], 1)])
    assert server.say("GET", KEY) == "no list"


async def test_a_redis_out_of_reach_is_an_error_that_callers_know(redis: Redis) -> None:
    await redis.close()
    with pytest.raises(RedisUnavailable):
        await RedisHotList(redis).read(10)
    with pytest.raises(RedisUnavailable):
        await RedisHotList(redis).add([(HOT[0], 1)])


async def test_the_list_in_a_file_outlives_the_process(tmp_path: Path) -> None:
    await FileHotList(tmp_path / "hot").add([(HOT[0], 2), (HOT[1], 5)])
    await FileHotList(tmp_path / "hot").add([(HOT[0], 4)])
    assert await FileHotList(tmp_path / "hot").read(10) == HOT[:2]


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x91\x92\xc4\x01x\xcb\x00\x00\x00\x00\x00\x00\x00\x00"])
async def test_a_damaged_file_is_an_empty_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hot").write_bytes(content)
    assert await FileHotList(tmp_path / "hot").read(10) == []
    await FileHotList(tmp_path / "hot").add([(HOT[0], 1)])
    assert await FileHotList(tmp_path / "hot").read(10) == [HOT[0]]
