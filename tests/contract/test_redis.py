"""Redis as it is reached: a single server, with AUTH, with TLS, behind sentinels, as a cluster."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager, suppress
from pathlib import Path

import pytest

from service.caches.base import Replies
from service.caches.redis import Redis, open_redis
from service.errors import InvalidSettings, RedisUnavailable
from tests.tools.servers import RunningRedis, certificates, redis_cluster, redis_server, sentinels

pytestmark = pytest.mark.anyio

PASSWORD = "a secret: @/?#%"
GENEROUS_SECONDS = 5.0
"""These tests are of what is answered, on a machine that may be busy with others."""
ANY_BYTES = bytes(range(256)) + b"\r\n$3\r\n*1\r\n" + bytes(100_000)
COUNT = "return {redis.call('INCR', KEYS[1]), ARGV[1]}"

Place = tuple[str, str, list[RunningRedis]]
"""Address, password, and the servers that keep keys."""


@contextmanager
def single(_directory: Path) -> Iterator[Place]:
    with redis_server() as server:
        yield server.url, "", [server]


@contextmanager
def with_password(_directory: Path) -> Iterator[Place]:
    with redis_server(password=PASSWORD) as server:
        yield server.url.replace("redis://", "redis://default:wrong@"), PASSWORD, [server]


@contextmanager
def with_tls(directory: Path) -> Iterator[Place]:
    with redis_server(tls=certificates(directory)) as server:
        yield server.url, "", [server]


@contextmanager
def behind_sentinels(_directory: Path) -> Iterator[Place]:
    with sentinels() as running:
        yield running.url, "", [running.master]


@contextmanager
def clustered(_directory: Path) -> Iterator[Place]:
    with redis_cluster() as running:
        yield running.url, "", running.nodes


KINDS: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "single": single,
    "password": with_password,
    "tls": with_tls,
    "sentinels": behind_sentinels,
    "cluster": clustered,
}


@pytest.fixture(scope="module", params=sorted(KINDS))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with KINDS[request.param](tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
async def redis(place: Place) -> AsyncIterator[Redis]:
    url, password, servers = place
    for server in servers:
        server.say("FLUSHALL")
    async with open_redis(url, password, budget_seconds=GENEROUS_SECONDS) as opened:
        await until_well(opened)  # a busy machine may keep a first connection waiting
        yield opened


async def test_commands_of_one_call_are_answered_in_order(redis: Redis) -> None:
    replies = await redis.run(
        "{a}", ("SET", "{a}1", "one"), ("HSET", "{a}2", "n", 7, "x", 1.5), ("GET", "{a}1"), ("HMGET", "{a}2", "n", "x")
    )
    assert replies.values == [b"OK", 2, b"one", [b"7", b"1.5"]]


async def test_what_is_absent_is_none(redis: Redis) -> None:
    assert (await redis.run("a", ("GET", "a"), ("HGET", "a", "b"))).values == [None, None]


async def test_any_bytes_are_kept(redis: Redis) -> None:
    assert (await redis.run("a", ("SET", "a", ANY_BYTES), ("GET", "a"))).values == [b"OK", ANY_BYTES]
    assert await redis.run_many([("a", ("GET", "a"))]) == [ANY_BYTES]


async def test_a_script_runs_in_its_place_among_the_commands(redis: Redis) -> None:
    script = ("EVAL", COUNT, 1, "a", "said")
    for count in (1, 3):
        replies = await redis.run("a", script, ("INCR", "a"), ("GET", "a"))
        assert replies.values == [[count, b"said"], count + 1, str(count + 1).encode()]


async def test_a_script_that_redis_has_forgotten_is_sent_again(redis: Redis, place: Place) -> None:
    script = ("EVAL", COUNT, 1, "a", ANY_BYTES)
    assert (await redis.run("a", script)).values == [[1, ANY_BYTES]]
    for server in place[2]:
        server.say("SCRIPT", "FLUSH")
    assert (await redis.run("a", script, ("PING",))).values == [[2, ANY_BYTES], b"PONG"]


async def test_a_script_that_fails_is_an_error_and_not_a_value(redis: Redis) -> None:
    with pytest.raises(RedisUnavailable, match="broken on purpose"):
        await redis.run("a", ("EVAL", "return redis.error_reply('ERR broken on purpose')", 1, "a"))
    assert not redis.is_open


async def test_another_type_under_a_key_is_none_and_no_failure(redis: Redis) -> None:
    await redis.run("a", ("SADD", "a", "member"))
    for _ in range(10):
        assert (await redis.run("a", ("GET", "a"), ("SCARD", "a"))).values == [None, 1]
        assert await redis.run_many([("a", ("GET", "a")), ("a", ("SCARD", "a"))]) == [None, 1]
    assert not redis.is_open


async def test_many_keys_are_answered_in_order(redis: Redis) -> None:
    keys = [f"key {number}" for number in range(500)]
    assert await redis.run_many([(key, ("SET", key, key)) for key in keys]) == [b"OK"] * 500
    keys.reverse()
    assert await redis.run_many([(key, ("GET", key)) for key in keys]) == [key.encode() for key in keys]
    assert await redis.run_many([]) == []


async def test_all_keys_that_match_are_found_on_all_nodes(redis: Redis) -> None:
    keys = {f"kept:{number}" for number in range(1_500)}
    await redis.run_many([(key, ("SET", key, "1")) for key in [*keys, "other"]])
    assert {key async for page in redis.scan("kept:*") for key in page} == keys
    assert {key async for page in redis.scan("nothing:*") for key in page} == set()


async def test_the_run_is_that_of_the_server_and_stays(redis: Redis, place: Place) -> None:
    runs = {(await redis.run(key, ("GET", key))).run for key in map(str, range(50)) for _ in range(2)}
    told = [line for server in place[2] for line in server.say("INFO", "server").splitlines()]
    assert runs == {line.removeprefix("run_id:") for line in told if line.startswith("run_id:")}


async def test_messages_are_heard_on_a_channel(redis: Redis) -> None:
    async with aclosing(redis.messages("news")) as messages:
        first = asyncio.ensure_future(anext(messages))
        while not first.done():  # until it has subscribed
            with suppress(RedisUnavailable):  # a busy machine may keep a new connection waiting
                await redis.run("any", ("PUBLISH", "news", ANY_BYTES))
            await asyncio.sleep(0.01)
        assert await first == ANY_BYTES
        await until_well(redis)
        await redis.run("any", ("PUBLISH", "other", "not for us"), ("PUBLISH", "news", "last"))
        heard = ANY_BYTES
        while heard == ANY_BYTES:
            heard = await anext(messages)
        assert heard == b"last"


async def test_a_restart_is_seen_by_another_run() -> None:
    with redis_server() as server:
        async with open_redis(server.url, budget_seconds=GENEROUS_SECONDS) as redis:
            before = await redis.run("a", ("PING",))
            server.restart()
            await until_well(redis)
            after = await redis.run("a", ("PING",))
    assert before.run != after.run
    assert len(before.run) == len(after.run) == 40


async def test_sentinels_lead_to_the_next_master() -> None:
    with sentinels(3) as running:
        async with open_redis(running.url, budget_seconds=GENEROUS_SECONDS) as redis:
            before = await redis.run("a", ("SET", "a", "kept"), ("WAIT", 1, 1000))
            running.master.kill()
            await until_well(redis, "a", ("SET", "b", "new"))
            after = await redis.run("a", ("GET", "a"))
    assert after.values == [b"kept"]
    assert before.run != after.run


async def test_no_sentinel_is_forgotten_where_several_are_asked_at_once() -> None:
    with sentinels(3) as running:
        first, *others = running.sentinels
        async with open_redis(running.url, budget_seconds=GENEROUS_SECONDS) as redis:
            first.freeze()
            await asyncio.gather(*(until_well(redis, "a", ("BLPOP", "a", "1")) for _ in range(8)))  # each has a link
            first.thaw()
            for sentinel in others:
                sentinel.kill()
            running.master.say("CLIENT", "KILL", "TYPE", "normal")
            assert (await until_well(redis)).values == [b"PONG"]


async def test_a_master_that_was_replaced_while_it_lives_is_left() -> None:
    with sentinels(1) as running:
        async with open_redis(running.url, budget_seconds=GENEROUS_SECONDS) as redis:
            before = await redis.run("a", ("SET", "a", "1"))
            replies = before
            running.master.freeze()
            while replies.run == before.run:
                await asyncio.sleep(0.05)
                replies = await until_well(redis, "a", ("GET", "a"))
            running.master.thaw()
            assert (await redis.run("a", ("SET", "a", "2"))).run == replies.run


async def test_slots_that_move_are_followed() -> None:
    with redis_cluster() as running:
        async with open_redis(running.url, budget_seconds=GENEROUS_SECONDS) as redis:
            before = await redis.run("a", ("PING",))
            slot = running.nodes[0].say("CLUSTER", "KEYSLOT", "a")
            ids = {node: node.say("CLUSTER", "MYID") for node in running.nodes}
            (owner,) = [node for node in running.nodes if f"run_id:{before.run}" in node.say("INFO", "server")]
            target = next(node for node in running.nodes if node is not owner)
            for node in (target, owner, *running.nodes):
                node.say("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
            after = await redis.run("a", ("SET", "a", "1"), ("GET", "a"))
            many = await redis.run_many([("a", ("GET", "a")), ("b", ("GET", "b"))])
    assert after.values == [b"OK", b"1"]
    assert after.run != before.run
    assert many == [b"1", None]


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_a_policy_that_may_evict_versions_is_refused_with_the_reason(policy: str) -> None:
    reason = f"{policy}: under memory pressure it may evict the versions"
    with redis_server("--maxmemory-policy", policy) as server, pytest.raises(InvalidSettings, match=reason):
        async with open_redis(server.url):
            pass


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl"])
async def test_other_policies_are_taken_even_where_config_is_forbidden(policy: str) -> None:
    with redis_server("--maxmemory-policy", policy, "--rename-command", "CONFIG", "") as server:
        async with open_redis(server.url, budget_seconds=GENEROUS_SECONDS) as redis:
            assert (await redis.run("a", ("PING",))).values == [b"PONG"]


async def until_well(redis: Redis, key: str = "a", command: tuple[str, ...] = ("PING",)) -> Replies:
    """Try until a command is answered, as readers do."""
    for _ in range(2000):
        try:
            return await redis.run(key, command)
        except RedisUnavailable:
            await asyncio.sleep(0.01)
    raise TimeoutError
