"""One server with all that keeps it from hurting: its links, the time of each call, its breaker and the probe."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any

from hiredis import ReplyError
from msgspec import Struct

from service.caches.base import Command, Replies
from service.caches.redis.limits import Limit
from service.caches.redis.links import EvictsVersions, Link, LinkLost, pack
from service.caches.redis.pools import CONNECT_SECONDS, Pool
from service.errors import RedisUnavailable
from service.resilience.breakers import Breaker

logger = logging.getLogger(__name__)

PROBE: tuple[Command, ...] = (("EXISTS", "retrieval:probe"),)
"""Needs the server's data: it fails while a server loads, has lost its master, runs a script or is cut off."""
SICK = frozenset({"LOADING", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "UNKILLABLE", "NOAUTH"})
"""Error replies that say that the server answers nothing well: the breaker counts them."""
CONNECTING_SECONDS = CONNECT_SECONDS + 0.05
"""For a probe to get a link: the pool gives up before, and says why."""
LEFT_ALONE = "it is left alone for a moment, as it failed"
LINK_IS_WRONG = frozenset({"READONLY", "NOAUTH"})
"""The link leads to a master that is one no more, or was never let in: another may do better."""


class Allowance(Struct, frozen=True, kw_only=True):
    """What one server may cost."""

    max_connections: int
    health_check_seconds: float
    budget_seconds: float


class Server:
    """Asks one server within a time. Raises RedisUnavailable; the error replies of single commands are values."""

    def __init__(self, name: str, open_link: Callable[[], Awaitable[Link]], allowance: Allowance) -> None:
        self.name = name
        self.breaker = Breaker(name)
        self._slow_seconds = allowance.budget_seconds / 2
        self._budget_seconds = allowance.budget_seconds
        self._pool = Pool(open_link, allowance.max_connections, allowance.health_check_seconds)
        self._limits: set[Limit] = set()
        """Of the calls under way."""
        self._probing: asyncio.Task[None] | None = None
        self._is_complained_of = False

    @property
    def connections(self) -> int:
        """How many there are, idle or in use."""
        return len(self._pool.links)

    @property
    def idle_connections(self) -> int:
        """How many wait for work."""
        return self._pool.idle

    async def ask(self, commands: Sequence[Command], seconds: float) -> Replies:
        """Send commands in one write on one link and read all replies, within so many seconds.

        When the breaker opens, the calls under way end too, but for the slow ones: they are those that it opened for,
        and a server that answers slowly may yet answer them.
        """
        if self.breaker.is_open:
            raise RedisUnavailable(f"{self.name}: {LEFT_ALONE}")
        limit = Limit(seconds, self._slow_seconds, self._was_slow)
        self._limits.add(limit)
        try:
            replies = await self._exchange(commands, limit)
        except (LinkLost, TimeoutError) as error:
            reason = str(error) or f"it did not answer within {seconds * 1000:.0f} ms"
            if isinstance(error, LinkLost) and not limit.was_slow:
                self._failed(reason)
            raise RedisUnavailable(f"{self.name}: {reason}") from error
        finally:
            self._limits.discard(limit)
            limit.close()
        if not limit.was_slow:
            self.breaker.succeeded()
        return replies

    async def start(self) -> None:
        """Make a first link; where that fails the server is left alone until it is well. Raises EvictsVersions."""
        try:
            await self._probe()
        except (LinkLost, TimeoutError) as error:
            if isinstance(self._pool.last_error, EvictsVersions):
                raise self._pool.last_error from None
            self._open(str(error) or "it does not answer")

    def retire(self) -> None:
        """Use none of the links that exist any more."""
        self._pool.retire()

    async def close(self) -> None:
        """Close all links; later calls fail."""
        if self._probing:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self._pool.close()

    async def _exchange(self, commands: Sequence[Command], limit: Limit) -> Replies:
        link = self._pool.take() or await self._wait_for_link(limit)
        try:
            values = await limit.wait(link.ask(pack(commands), len(commands)))
            if not _is_right(values):
                link.abort()
        except BaseException:
            link.abort()  # a reply may be pending
            raise
        finally:
            self._pool.give(link)
        return Replies(run=link.run, values=values)

    async def _wait_for_link(self, limit: Limit) -> Link:
        waiter = self._pool.request()
        try:
            return await limit.wait(waiter)
        except BaseException:
            self._pool.withdraw(waiter)
            raise

    def _was_slow(self) -> None:
        self._failed(f"it did not answer within {self._slow_seconds * 1000:.0f} ms")

    def _failed(self, reason: str) -> None:
        self.breaker.failed(reason)
        if self.breaker.is_open:
            self._open(reason)

    def _open(self, reason: str) -> None:
        self.breaker.trip(reason)
        if self._probing is None or self._probing.done():
            self._pool.retire()  # who knows which of them are well
            for limit in self._limits:
                if not limit.was_slow:
                    limit.end(LEFT_ALONE)
            self._probing = asyncio.create_task(self._probe_until_well(), context=Context())

    async def _probe_until_well(self) -> None:
        while self.breaker.is_open:
            await asyncio.sleep(self.breaker.seconds_to_probe())
            is_quick = False
            with suppress(LinkLost, TimeoutError):
                is_quick = await self._probe()
            self.breaker.probed(is_well=is_quick)

    async def _probe(self) -> bool:
        """Make one exchange on a link, and tell whether it was good and quick; connecting may take its time."""
        connecting = Limit(CONNECTING_SECONDS, math.inf, lambda: None)
        limit = connecting
        try:
            self._pool.give(self._pool.take() or await self._wait_for_link(connecting))
            limit = Limit(self._budget_seconds, self._slow_seconds, lambda: None)
            await self._exchange(PROBE, limit)
        except LinkLost:
            self._complain()
            raise
        finally:
            connecting.close()
            limit.close()
        self._is_complained_of = False
        return not limit.was_slow

    def _complain(self) -> None:
        """Say once what only an operator can put right."""
        error = self._pool.last_error
        if isinstance(error, EvictsVersions) and not self._is_complained_of:
            self._is_complained_of = True
            logger.error("%s is not used: %s", self.name, error)


def code(error: ReplyError) -> str:
    """Return the word with which Redis begins an error."""
    return str(error).partition(" ")[0]


def _is_right(values: Sequence[Any]) -> bool:
    """Whether the link leads where it should, by the replies; raises LinkLost where the server is unwell."""
    errors = {code(value): str(value) for value in values if type(value) is ReplyError}
    if not errors:
        return True
    for word in errors.keys() & SICK:
        raise LinkLost(errors[word])
    return not errors.keys() & LINK_IS_WRONG
