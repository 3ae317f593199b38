"""The script does to a ledger in a real Redis what the state machine does."""

import asyncio
import random
from collections.abc import AsyncIterator
from secrets import token_hex
from typing import Final

import pytest
from msgspec.structs import replace

from service.caches.following import CHANNEL
from service.caches.ledgers import SCRIPT, ledger_key
from service.caches.redis import Redis, open_redis
from service.caches.versions import GHOST, TOKEN_MS, Ledger, Server
from tests.tools.servers import redis_server

pytestmark = pytest.mark.anyio

OPERATIONS: Final = (
    "begin",
    "begin",
    "die",
    "commit",
    "commit",
    "abandon",
    "settle",
    "refresh",
    "refresh",
    "copy",
    "restore",
)
DISASTERS: Final = ("flush", "delete", "another run")
DYING_MS: Final = 1


@pytest.fixture(scope="module")
async def redis(anyio_backend: str) -> AsyncIterator[Redis]:
    assert anyio_backend
    with redis_server() as server:
        async with open_redis(server.url, budget_seconds=5.0) as opened:
            yield opened


class Both:
    """One ledger in Redis, and the same as the state machine has it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.key = ledger_key(token_hex(16))
        self.ledger = Ledger()
        self.copy = Ledger()

    async def change(self, action: str, token: str, token_ms: int) -> None:
        arguments = action, token, token_ms, CHANNEL, GHOST
        before = await self.micros()
        (run, n) = (await self.redis.run(self.key, ("EVAL", SCRIPT, 1, self.key, *arguments))).values[0]
        server = Server(run.decode(), await self.micros(), token_ms)
        changes = {"begin": self.ledger.begin, "commit": self.ledger.commit, "abandon": self.ledger.abandon}
        others = {"settle": self.ledger.settle, "refresh": self.ledger.refresh}
        expected = changes[action](server, token) if action in changes else others[action](server)
        if self.ledger.run != server.run:  # the time in n is the one thing that cannot be the same
            assert max(self.ledger.n + 1, before) <= int(n) <= expected.n
            expected = replace(expected, n=int(n))
        self.ledger = expected
        assert (self.ledger.run, self.ledger.n) == (run.decode(), int(n))
        await self.compare()

    async def compare(self) -> None:
        fields = await self.fields()
        assert fields.pop("run") == self.ledger.run
        assert int(fields.pop("n")) == self.ledger.n
        assert sorted(fields) == [f"p:{token}" for token, _ in self.ledger.pending]
        for token, expiry in self.ledger.pending:
            assert abs(int(fields[f"p:{token}"]) - expiry) < TOKEN_MS / 2

    async def micros(self) -> int:
        seconds, micros = (await self.redis.run(self.key, ("TIME",))).values[0]
        return int(seconds) * 1_000_000 + int(micros)

    async def fields(self) -> dict[str, str]:
        flat = (await self.redis.run(self.key, ("HGETALL", self.key))).values[0]
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return {field.decode(): value.decode() for field, value in pairs}

    async def restore(self, ledger: Ledger) -> None:
        """Put another state in place, as a failover does."""
        await self.redis.run(self.key, ("DEL", self.key))
        self.ledger = ledger
        if ledger != Ledger():
            tokens = [word for token, expiry in ledger.pending for word in (f"p:{token}", expiry)]
            await self.redis.run(self.key, ("HSET", self.key, "run", ledger.run, "n", ledger.n, *tokens))

    async def do(self, operation: str, token: str) -> None:
        match operation:
            case "begin" | "commit" | "abandon" | "settle" | "refresh":
                await self.change(operation, token, TOKEN_MS)
            case "die":
                await self.change("begin", token, DYING_MS)
                await asyncio.sleep(3 * DYING_MS / 1000)
            case "copy":
                self.copy = self.ledger
            case "restore":
                await self.restore(self.copy)
            case "flush":
                await self.redis.run(self.key, ("FLUSHALL",))
                self.ledger = Ledger()
            case "delete":
                await self.restore(Ledger())
            case "another run":
                await self.restore(replace(self.ledger, run="another", n=self.ledger.n + 10**9))


@pytest.mark.parametrize("seed", range(25))
async def test_the_script_does_what_the_state_machine_does(redis: Redis, seed: int) -> None:
    chance, both = random.Random(seed), Both(redis)
    for _ in range(60):
        operations = DISASTERS if chance.random() < 0.1 else OPERATIONS
        await both.do(chance.choice(operations), chance.choice("abc"))
    await both.change("refresh", "", TOKEN_MS)
