"""The Redis port: commands out, replies or RedisUnavailable back, within what a request may spend on it."""

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from hiredis import ReplyError
from redis.exceptions import RedisError

from service.caches.base import Command, Replies
from service.caches.redis.links import EvictsVersions, LinkLost
from service.caches.redis.pools import CONNECT_SECONDS
from service.caches.redis.servers import Allowance, Server, code
from service.caches.redis.topologies import Topology, topology_of
from service.caches.redis.urls import read_url
from service.errors import InvalidSettings, RedisUnavailable
from service.resilience.budgets import REDIS_BUDGET

KEYS_OF_PAGE = 1000
ELSEWHERE = frozenset({"MOVED", "ASK", "TRYAGAIN"})
REFUSED = frozenset({"OOM", "READONLY", "MISCONF", "NOREPLICAS", "NOPERM", "CROSSSLOT", "NOSCRIPT"}) | ELSEWHERE
"""Errors that the caller has to know of. Other commands may go well, so the breaker does not count them."""


class Redis:
    """Commands to Redis of any topology; see `open_redis`."""

    def __init__(self, topology: Topology, budget_seconds: float, health_check_seconds: float) -> None:
        self._topology = topology
        self._budget_seconds = budget_seconds
        self._health_check_seconds = health_check_seconds

    @property
    def is_open(self) -> bool:
        """Whether a breaker is open: a server is left alone, for it failed."""
        return any(server.breaker.is_open for server in self.servers)

    @property
    def servers(self) -> Sequence[Server]:
        """With their breakers and numbers of connections, for the metrics."""
        return self._topology.servers

    async def run(self, key: str, *commands: Command) -> Replies:
        """Send the commands in one write on one connection, to the node that keeps `key`, and read all replies.

        Waits as long as the budget of what runs allows (`budgeted`), without one that of a single request.
        A script is ("EVAL", text, number of keys, key..., argument...); alone, it is sent by its digest. Raises
        RedisUnavailable. What single commands fail by for their own sake, such as WRONGTYPE, is None among the values.
        """
        budget = REDIS_BUDGET.get()
        if budget is None:
            return await self._run(key, commands, self._budget_seconds)
        with budget.spend() as remaining:
            return await self._run(key, commands, remaining)

    async def run_many(self, calls: Sequence[tuple[str, Command]]) -> list[Any]:
        """Send one command for each key, all at once, in one round trip to each node; the values in order.

        Errors are those of `run`; commands that have several effects do not belong here, as some may go twice.
        """
        budget = REDIS_BUDGET.get()
        if budget is None:
            return await self._run_many(calls, self._budget_seconds)
        with budget.spend() as remaining:
            return await self._run_many(calls, remaining)

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """Yield the keys that match, page by page, from every server; each page has the time of one call.

        Keys that come or go meanwhile may be missing or twice, as Redis has it. Raises RedisUnavailable.
        """
        for server in self.servers:
            cursor = b"0"
            while True:
                command = "SCAN", cursor, "MATCH", pattern, "COUNT", KEYS_OF_PAGE
                ((cursor, keys),) = _values([command], (await server.ask([command], self._budget_seconds)).values)
                yield [key.decode(errors="replace") for key in keys]  # what is not ours may be named anyhow
                if cursor == b"0":
                    break

    async def messages(
        self, channel: str, on_listening: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[bytes, None]:
        """Listen on a connection of its own, from when the first message is asked for.

        Calls `on_listening` when Redis has confirmed it: no later message is missed. Raises RedisUnavailable when the
        connection breaks; the caller tries again.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._topology.connection()
        except (LinkLost, TimeoutError) as error:
            raise RedisUnavailable(f"The channel {channel} cannot be heard: {str(error) or 'no answer'}") from error
        try:
            await connection.send_command("SUBSCRIBE", channel)
            is_pinged = False
            while True:
                reply = await connection.read_response(timeout=self._health_check_seconds)
                if reply is None and is_pinged:
                    raise RedisUnavailable(f"Nothing answers on the channel {channel}.")
                is_pinged = reply is None
                if is_pinged:
                    await connection.send_command("PING")
                elif reply[0] == b"subscribe":
                    on_listening()
                elif reply[0] == b"message":
                    yield reply[2]
        except (RedisError, OSError) as error:
            raise RedisUnavailable(f"The channel {channel} is not heard any more: {error}") from error
        finally:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close all connections; later calls raise RedisUnavailable."""
        await self._topology.close()

    async def _run(self, key: str, commands: Sequence[Command], seconds: float) -> Replies:
        ends = time.monotonic() + seconds
        # Among several commands a script goes in full: sent again after the others, it would be out of its order.
        sent = [_by_digest(commands[0])] if len(commands) == 1 else commands
        replies = await self._topology.server_of(key).ask(sent, _still(seconds))
        if not (errors := _errors(replies.values)):
            return replies
        if len(errors) == len(commands) and ELSEWHERE.issuperset(errors):
            await self._refresh(ends)
            replies = await self._topology.server_of(key).ask(sent, _still(ends - time.monotonic()))
        if _errors(replies.values) == ["NOSCRIPT"] and sent is not commands:
            replies = await self._topology.server_of(key).ask(commands, _still(ends - time.monotonic()))
        return Replies(run=replies.run, values=_values(commands, replies.values))

    async def _run_many(self, calls: Sequence[tuple[str, Command]], seconds: float) -> list[Any]:
        ends = time.monotonic() + seconds
        values = await self._spread(calls, seconds)
        if moved := [at for at, value in enumerate(values) if _is_error(value) and code(value) in ELSEWHERE]:
            await self._refresh(ends)
            again = await self._spread([calls[at] for at in moved], ends - time.monotonic())
            for at, value in zip(moved, again, strict=True):
                values[at] = value
        return _values([command for _, command in calls], values) if _errors(values) else values

    async def _spread(self, calls: Sequence[tuple[str, Command]], seconds: float) -> list[Any]:
        """Send each command to the server that keeps its key."""
        places: dict[Server, list[int]] = defaultdict(list)
        for at, (key, _) in enumerate(calls):
            places[self._topology.server_of(key)].append(at)
        answers = await asyncio.gather(
            *(server.ask([calls[at][1] for at in ats], _still(seconds)) for server, ats in places.items()),
            return_exceptions=True,
        )
        values: list[Any] = [None] * len(calls)
        for ats, answer in zip(places.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            for at, value in zip(ats, answer.values, strict=True):
                values[at] = value
        return values

    async def _refresh(self, ends: float) -> None:
        try:
            async with asyncio.timeout(_still(ends - time.monotonic())):
                await self._topology.refresh()
        except (TimeoutError, EvictsVersions) as error:
            raise RedisUnavailable("The cluster of Redis has moved its keys and does not tell where to.") from error


@asynccontextmanager
async def open_redis(
    url: str,
    password: str = "",
    *,
    max_connections: int = 50,
    health_check_seconds: float = 30,
    budget_seconds: float = 0.05,
) -> AsyncIterator[Redis]:
    """Open Redis at an address, with so many connections to a server at most.

    A call waits `budget_seconds` at most, for a connection and the replies together; all calls of a request share them
    (see `budgeted`). Where Redis does not answer, it is left alone and tried again every second. Raises InvalidSettings
    where the address is wrong, or where Redis may evict what must be kept.
    """
    address = read_url(url, password)
    allowance = Allowance(
        max_connections=max_connections, health_check_seconds=health_check_seconds, budget_seconds=budget_seconds
    )
    topology = topology_of(address, allowance)
    redis = Redis(topology, budget_seconds, health_check_seconds)
    try:
        try:
            await topology.start()
        except EvictsVersions as error:
            raise InvalidSettings(f"RETRIEVAL_REDIS_URL: {error}") from error
        yield redis
    finally:
        await redis.close()


def _still(seconds: float) -> float:
    """Return the seconds that are left; raises RedisUnavailable where there are none."""
    if seconds <= 0:
        raise RedisUnavailable("This request has spent its time on Redis.")
    return seconds


def _by_digest(command: Command) -> Command:
    return ("EVALSHA", _digest(command[1]), *command[2:]) if command[0] == "EVAL" else command


@lru_cache(maxsize=128)
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def _is_error(value: Any) -> bool:
    return type(value) is ReplyError


def _errors(values: Sequence[Any]) -> list[str]:
    return [code(value) for value in values if type(value) is ReplyError]


def _values(commands: Sequence[Command], values: Sequence[Any]) -> list[Any]:
    """Return what the caller gets: raises what it has to know, and any error of a script, which did only half then."""
    for command, value in zip(commands, values, strict=True):
        if _is_error(value) and (command[0] == "EVAL" or code(value) in REFUSED):
            raise RedisUnavailable(f"Redis refused {command[0]!s}: {value}")
    return [None if _is_error(value) else value for value in values]
