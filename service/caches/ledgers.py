"""The versions of collections, kept by Redis for all processes: the protocol of `versions.py` as a script."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, nullcontext
from secrets import token_hex
from typing import Any, Final, Literal, TypeVar

from msgspec import Struct

from service.caches.following import CHANNEL, Follower
from service.caches.locks import alone
from service.caches.redis import Redis
from service.caches.versions import GHOST, TOKEN_MS, Table, Version, proves
from service.errors import RedisUnavailable
from service.resilience.budgets import Budget, budgeted

logger = logging.getLogger(__name__)

T = TypeVar("T")

WRITE_SECONDS: Final = 1.0
"""That each step of a write may wait for Redis."""
OUTLASTING_SECONDS: Final = 0.1
SCRIPT: Final = """
local key, action, token, token_ms, channel, ghost = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  .. '/' .. (string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or '')

local known = redis.call('HMGET', key, 'run', 'n')
local before = tonumber(known[2] or 0)
local n = before
local function hold(name) redis.call('HSET', key, 'p:' .. name, string.format('%.0f', now + token_ms)) end

if known[1] ~= run then
  n = math.max(n + 1, micros)
  redis.call('HSET', key, 'run', run)
  hold(ghost)
end
local fields, is_expired, is_pending = redis.call('HGETALL', key), false, false
for place = 1, #fields, 2 do
  if string.sub(fields[place], 1, 2) == 'p:' then
    if tonumber(fields[place + 1]) <= now then
      redis.call('HDEL', key, fields[place])
      is_expired = true
    else
      is_pending = true
    end
  end
end
if is_expired then n = n + 1 end
if action == 'settle' and is_pending then n = n + 1 end
if action == 'begin' then hold(token) end
if action == 'commit' or action == 'abandon' then redis.call('HDEL', key, 'p:' .. token) end
if action == 'commit' then n = n + 1 end
local number = string.format('%.0f', n)
if n ~= before then
  redis.call('HSET', key, 'n', number)
  redis.call('PUBLISH', channel, key)
end
return {run, number}
"""
"""Does to a ledger what `Ledger` does. The reign is part of the run: a server that was deposed and comes back with an
older copy has another."""

Action = Literal["begin", "commit", "abandon", "settle", "refresh"]


class Write(Struct):
    """A write in progress."""

    is_void: bool = False
    """Set by the block if it certainly changed nothing: the version stays as it is."""
    version: str = ""
    """Set once the write is committed."""


class RedisVersions:
    """What this process knows of the versions, and how it raises them. Lives on one event loop.

    With `writes` "allow" a write goes on where Redis does not answer: other processes learn of it when Redis is back.
    Without any Redis no version is ever confirmed, and a write is known in this process alone.
    """

    def __init__(
        self,
        redis: Redis | None,
        follower: Follower | None = None,
        *,
        writes: Literal["refuse", "allow"] = "refuse",
        clock: Callable[[], float] = time.monotonic,
        token_ms: int = TOKEN_MS,
    ) -> None:
        self._redis = redis
        self._follower = follower
        self._writes = writes if redis else "allow"
        self._clock = clock
        self._token_ms = token_ms
        self._table = Table()
        self._owed: dict[str, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def current(self, name: str) -> str | None:
        """Return the version if it was confirmed less than a second ago."""
        return self._table.current(name, self._clock())

    def last(self, name: str) -> str | None:
        """Return the version that was heard of last, however long ago."""
        return self._table.last(name)

    def raised(self, name: str) -> float:
        """Return when this process learned of the last change, by its clock; infinity where it knows nothing."""
        return self._table.raised(name)

    def proves(self, name: str, minimum: str) -> bool:
        """Whether the last known version is certainly not older than `minimum`."""
        last = self.last(name)
        return last is not None and proves(last, minimum)

    def follow(self, name: str) -> None:
        """Keep the version current for the next minute."""
        if self._follower:
            self._follower.watch(ledger_key(name), lambda: self.read(name), lambda: self._table.distrust(name))

    async def read(self, name: str) -> str:
        """Ask Redis for the version. Raises RedisUnavailable."""
        return (await self._change(name, "commit" if name in self._owed else "refresh", "")).text

    async def settle(self, name: str) -> None:
        """Make the effect of others' writes, which the caller has seen in the store, part of the known version.

        Whoever acknowledges what another writer wrote must not answer from before it. Raises RedisUnavailable, unless
        writes go on without Redis.
        """
        try:
            await asyncio.shield(self._start(self._change(name, "settle", "")))
        except RedisUnavailable:
            if self._writes == "refuse":
                raise

    @asynccontextmanager
    async def write(self, name: str) -> AsyncIterator[Write]:
        """Announce a write, let the block do it, and raise the version.

        Where it cannot be announced the block is not entered; where the version cannot be raised the write is not
        acknowledged: both raise RedisUnavailable. A block that fails may have changed the store, or may yet do so:
        the version is raised now and once more when the token expires.
        """
        token, write = token_hex(8), Write()
        await self._begin(name, token)
        renewing = self._start(self._renew(name, token))
        try:
            yield write
        except BaseException:
            renewing.cancel()
            await self._give_up(name, token)
            raise
        renewing.cancel()
        ending = self._abandon(name, token) if write.is_void else self._commit(name, token)
        write.version = await asyncio.shield(self._start(ending))

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """Let no other process enter such a block for the same name, while Redis answers; raises as `write` does."""
        is_away = self._redis is None or (self._writes == "allow" and self._redis.is_open)
        async with nullcontext() if is_away or self._redis is None else alone(self._redis, name):
            yield

    async def outlast(self, name: str) -> None:
        """Return when the writes are over that are announced now; a dead writer's when its token expires.

        Without Redis nobody knows of others' writes. Raises RedisUnavailable.
        """
        if self._redis is None:
            return
        announced = await self._announced(name)
        while announced:
            await asyncio.sleep(OUTLASTING_SECONDS)
            await self.read(name)  # which forgets the tokens that expired
            announced &= await self._announced(name)

    async def _announced(self, name: str) -> set[bytes]:
        assert self._redis
        key = ledger_key(name)
        with budgeted(Budget(WRITE_SECONDS)):
            replies = await self._redis.run(key, ("HKEYS", key))
        return {field for field in replies.values[0] or () if field.startswith(b"p:")}

    async def close(self) -> None:
        """Wait for the commits that are under way."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _begin(self, name: str, token: str) -> None:
        try:
            await asyncio.shield(self._start(self._change(name, "begin", token)))
        except RedisUnavailable as error:
            if self._writes == "refuse":
                raise RedisUnavailable(
                    f"Redis, which coordinates writes, does not answer; nothing was written. Try again. ({error})"
                ) from error
            if self._redis:
                logger.warning("a write goes on without Redis; other processes may answer without it: %s", error)

    async def _renew(self, name: str, token: str) -> None:
        while True:
            await asyncio.sleep(self._token_ms / 3000)
            try:
                await self._change(name, "begin", token)
            except RedisUnavailable as error:
                if self._redis:
                    logger.warning("the token of a long write could not be renewed: %s", error)

    async def _commit(self, name: str, token: str) -> str:
        """Raise the version; it is known here before anybody hears that the write is done."""
        try:
            return (await self._change(name, "commit", token)).text
        except RedisUnavailable as error:
            self._owe(name)
            if self._writes == "allow":
                return self._local(name).text
            raise RedisUnavailable(
                f"The write is not acknowledged, as Redis does not answer; the same request again is safe. ({error})"
            ) from error

    async def _abandon(self, name: str, token: str) -> str:
        try:
            return (await self._change(name, "abandon", token)).text
        except RedisUnavailable:  # the token expires by itself
            return self.last(name) or ""

    async def _give_up(self, name: str, token: str) -> None:
        """Raise the version after a write that failed, whose token is left to expire."""
        self._owe(name)

        async def settle() -> None:
            await self._change(name, "begin", token)
            await self._change(name, "commit", "")

        task = self._start(settle())
        task.add_done_callback(_retrieve)
        await asyncio.wait({task})

    def _owe(self, name: str) -> None:
        """Raise the version with the next read, as it could not be raised with the write."""
        self._owed[name] = self._clock()
        self._table.distrust(name)

    def _local(self, name: str) -> Version:
        version = Version(f"local-{token_hex(3)}", 1)
        self._learn(name, version, -math.inf)
        return version

    async def _change(self, name: str, action: Action, token: str) -> Version:
        if self._redis is None:
            raise RedisUnavailable("No Redis is configured.")
        key, sent = ledger_key(name), self._clock()
        arguments = action, token, self._token_ms, CHANNEL, GHOST
        # A write is not worth refusing for a moment's delay; a read has only what its request has left.
        with nullcontext() if action == "refresh" else budgeted(Budget(WRITE_SECONDS)):
            replies = await self._redis.run(key, ("EVAL", SCRIPT, 1, key, *arguments))
        version = _version(replies.values[0])
        if action == "commit" and self._owed.get(name, math.inf) <= sent:
            del self._owed[name]
        self._learn(name, version, sent)
        return version

    def _learn(self, name: str, version: Version, sent: float) -> None:
        self._table.learn(name, version, sent, self._clock())

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it to its end, whatever becomes of the caller, and not on the time of the caller's request."""
        with budgeted(None):
            task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def ledger_key(name: str) -> str:
    """Return the key of a ledger, the same in all releases."""
    return f"retrieval:ledger:{{{name}}}"


def _version(reply: Sequence[bytes | None]) -> Version:
    run, n = (field or b"" for field in reply)
    return Version(run.decode(), int(n))


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take note of a failure that is settled otherwise: the version is owed."""
    if not task.cancelled():
        task.exception()
