"""Deletions over a real Redis: what one process deletes, no other serves."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress

import pytest
from msgspec.structs import replace

from service.caches.base import Cached
from service.caches.deletions import LONGEST_LIFE_SECONDS, Deletions, Scope
from service.caches.following import FORGOTTEN_SECONDS, Follower
from service.caches.redis import open_redis
from service.errors import RedisUnavailable
from tests.tools.servers import redis_server

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 20.0
OLD = Cached(value=b"", epoch=0, owner="ann", stored=0, ttl_seconds=60)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return self.now


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


async def test_that_deletion_is_told_when_redis_is_back_before_anything_is_served() -> None:
    with redis_server() as server:
        async with (
            open_redis(server.url, budget_seconds=5) as redis,
            open_redis(server.url, budget_seconds=5) as another,
            Follower(redis) as follower,
        ):
            deletions, other = Deletions(redis, follower), Deletions(another, Follower(another))
            server.kill()
            with pytest.raises(RedisUnavailable):
                await deletions.delete("t", Scope(kind="result"))
            server.restart()
            await until_followed(deletions, "t")
            await until_followed(other, "t")
            late = replace(OLD, epoch=time.time_ns() // 1000 - 60_000_000)
            assert not deletions.allows("t", late, "result", "things")
            assert not other.allows("t", late, "result", "things")
            assert deletions.number("t") == other.number("t")


async def test_a_process_whose_clock_is_ahead_hears_of_later_deletions(
    processes: tuple[Deletions, Deletions], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, other = processes
    seconds = time.time() + 10
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: seconds)
        patch.setattr(time, "time_ns", lambda: int(seconds * 1e9))
        await ahead.delete("t", Scope(kind="embedding"))
    computed = replace(OLD, epoch=ahead.number("t"))
    await other.delete("t", Scope(kind="result"))
    await ahead._read("t")
    assert not ahead.allows("t", computed, "result", "things")
    assert not other.allows("t", computed, "result", "things")


async def test_a_deletion_exceeds_all_that_its_process_had_heard_of(processes: tuple[Deletions, Deletions]) -> None:
    one, other = processes
    redis, key = one._redis, "retrieval:deletions:{t}"
    assert redis
    ahead = time.time_ns() // 1000 + 3600 * 1_000_000
    await redis.run(key, ("HSET", key, "latest", ahead))  # by a master whose clock was ahead
    await one._read("t")
    await redis.run(key, ("DEL", key))
    await one.delete("t", Scope(kind="result"))
    await other.follow("t")
    assert one.number("t") == other.number("t") > ahead


async def test_deletions_are_followed_however_long_only_memory_answers() -> None:
    clock = Clock()
    with redis_server() as server:
        async with (
            open_redis(server.url, budget_seconds=5) as redis,
            Follower(redis, every_seconds=0.001, clock=clock) as follower,
        ):
            other, silent = Deletions(redis, follower), Deletions(redis, None)
            await other.follow("t")
            reads = counted(other)
            clock.now += FORGOTTEN_SECONDS + 1
            await eventually(lambda: len(reads) > 2)
            await silent.delete("t", Scope(kind="result"))
            await eventually(lambda: not other.allows("t", OLD, "result", "things"))


async def test_who_deleted_something_still_learns_what_others_deleted_before_it_serves(
    processes: tuple[Deletions, Deletions],
) -> None:
    one, other = processes
    await one.delete("t", Scope(kind="result"))
    await other.delete("t", Scope(kind="embedding"))
    await other.follow("t")
    assert not other.allows("t", OLD, "result", "things")


async def test_deletions_older_than_anything_cached_are_forgotten(processes: tuple[Deletions, Deletions]) -> None:
    one, _ = processes
    redis = one._redis
    assert redis
    key = "retrieval:deletions:{t}"
    await redis.run(key, ("HSET", key, "//longago", 1))
    await one.delete("t", Scope(owner="ann"))
    fields = (await redis.run(key, ("HKEYS", key))).values[0]
    assert set(fields) == {b"latest", b"//ann"}


@pytest.mark.parametrize("has_redis", [False, True])
async def test_a_process_forgets_them_too_and_still_knows_which_was_the_last(has_redis: bool) -> None:  # noqa: FBT001  # a parameter of pytest
    clock = Clock()
    async with AsyncExitStack() as stack:
        url = stack.enter_context(redis_server()).url if has_redis else ""
        redis = await stack.enter_async_context(open_redis(url, budget_seconds=5)) if has_redis else None
        deletions = Deletions(redis, None, clock=clock)
        for user in range(1000):
            await deletions.delete("t", Scope(owner=str(user)))
        before = deletions.number("t")
        clock.now += LONGEST_LIFE_SECONDS - 1
        await deletions.delete("t", Scope(owner="recent"))
        assert not deletions.allows("t", replace(OLD, owner="7"), "result", "things")
        clock.now += 2
        await deletions.delete("t", Scope(owner="last"))
        assert set(deletions._known["t"]) == {"latest", "//recent", "//last"}
        clock.now += LONGEST_LIFE_SECONDS + 1
        await deletions._read("t")
        assert deletions.number("t") > before


async def test_whether_a_value_was_deleted_is_told_without_looking_at_any_clock() -> None:
    clock = Clock()
    deletions = Deletions(None, None, clock=clock)
    await deletions.delete("t", Scope(owner="bob"))
    asked = clock.asked
    assert deletions.allows("t", OLD, "result", "things")
    assert not deletions.allows("t", replace(OLD, owner="bob"), "result", "things")
    assert deletions.number("t") == 1
    assert clock.asked == asked


def counted(deletions: Deletions) -> list[str]:
    """Return a list that grows when the deletions were re-read and whatever else the round did is done."""
    rounds: list[str] = []

    async def note() -> None:
        rounds.append("read")

    assert deletions._follower
    deletions._follower.watch("beside", note, is_kept=True)
    return rounds


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110  # what is waited for announces nothing
            await asyncio.sleep(0.005)


async def until_followed(deletions: Deletions, tenant: str) -> None:
    """Try until the connections are made anew."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(RedisUnavailable):
                await deletions.follow(tenant)
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "foreign", [("SET", "1"), ("HSET", "latest", "soon"), ("HSET", b"\xff", b"\xff", "result//", "12x")]
)
async def test_what_others_left_under_our_key_is_passed_over(
    processes: tuple[Deletions, Deletions], foreign: tuple[str | bytes, ...]
) -> None:
    one, other = processes
    redis = one._redis
    assert redis
    key = "retrieval:deletions:{t}"
    await redis.run(key, (foreign[0], key, *foreign[1:]))
    await other.follow("t")
    assert other.allows("t", OLD, "result", "things")
    await one.delete("t", Scope(kind="result"))
    await other._read("t")
    assert not other.allows("t", OLD, "result", "things")
