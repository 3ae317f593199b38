"""What a process uses of Redis is kept current: re-read twice a second, and at once when another process changes it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from functools import partial
from typing import Final, Self

from msgspec import Struct

from service.caches.redis import Redis
from service.errors import RedisUnavailable
from service.resilience.budgets import budgeted

logger = logging.getLogger(__name__)

CHANNEL: Final = "retrieval:changes"
"""Its messages are the keys that changed. The name stays the same in all releases."""
EVERY_SECONDS: Final = 0.5
FORGOTTEN_SECONDS: Final = 60.0
"""What was not used for so long is not followed any more."""
AT_ONCE: Final = 16
"""Keys that are re-read side by side."""

Reread = Callable[[], Awaitable[object]]


class Followed(Struct):
    """A key in use."""

    reread: Reread
    distrust: Callable[[], None] | None
    used: float
    asked: float
    """When the last question was asked that was answered, or the first."""
    is_kept: bool
    """Whether it is followed for the life of the process."""


class Follower:
    """Re-reads what is used, in tasks of its own while it is entered. Redis' trouble only makes what is known older."""

    def __init__(
        self, redis: Redis, *, every_seconds: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._every_seconds = every_seconds
        self._clock = clock
        self._followed: dict[str, Followed] = {}
        self._changed: set[str] = set()
        self._woken = asyncio.Event()
        self._troubles: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def watch(
        self, key: str, reread: Reread, distrust: Callable[[], None] | None = None, *, is_kept: bool = False
    ) -> None:
        """Keep the key current for a minute from now, or for good; `distrust` is called at once when it has changed."""
        if followed := self._followed.get(key):
            followed.used = self._clock()
        else:
            self._followed[key] = Followed(reread, distrust, self._clock(), self._clock(), is_kept)

    def age(self) -> float:
        """Return how many seconds ago what is in use was asked for with success: the oldest of it; 0 without any."""
        return max((self._clock() - followed.asked for followed in self._followed.values()), default=0.0)

    async def __aenter__(self) -> Self:
        with budgeted(None):
            runs = self._reread_all(), self._reread_changed(), self._listen()
            self._tasks = [asyncio.create_task(run) for run in runs]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reread_all(self) -> None:
        while True:
            self._forget()
            began = self._clock()
            await self._reread([*self._followed])
            await asyncio.sleep(max(0.0, self._every_seconds - (self._clock() - began)))

    def _forget(self) -> None:
        oldest = self._clock() - FORGOTTEN_SECONDS
        for key, followed in [*self._followed.items()]:
            if followed.used < oldest and not followed.is_kept:
                del self._followed[key]

    async def _reread_changed(self) -> None:
        """Re-read what messages named; those that came meanwhile are one round."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            changed, self._changed = self._changed, set()
            await self._reread(changed)

    async def _reread(self, keys: Collection[str]) -> None:
        waiting, failures = iter(keys), list[Exception]()

        async def work() -> None:
            for key in waiting:  # shared by all workers
                try:
                    await self._reread_one(key)
                except Exception as error:  # noqa: BLE001  # the other keys are to be read whatever it is
                    failures.append(error)

        await asyncio.gather(*(work() for _ in range(min(AT_ONCE, len(keys)))), return_exceptions=True)
        if keys:
            self._note("re-reading", failures[0] if failures else None)

    async def _reread_one(self, key: str) -> None:
        if followed := self._followed.get(key):
            asked = self._clock()
            await followed.reread()
            followed.asked = asked

    async def _listen(self) -> None:
        while True:
            try:
                is_well = partial(self._note, "listening", None)
                async with aclosing(self._redis.messages(CHANNEL, is_well)) as messages:
                    async for message in messages:
                        self._hear(message.decode(errors="replace"))
            except Exception as error:  # noqa: BLE001  # nobody would begin to listen again
                self._note("listening", error)
            await asyncio.sleep(self._every_seconds)

    def _hear(self, key: str) -> None:
        if followed := self._followed.get(key):
            if followed.distrust:
                followed.distrust()
            self._changed.add(key)
            self._woken.set()

    def _note(self, what: str, failure: BaseException | None) -> None:
        """Log that something begins to fail, or goes well again; never the same twice."""
        if failure and what not in self._troubles:
            self._troubles.add(what)
            known = isinstance(failure, RedisUnavailable)
            logger.warning("%s what is kept in Redis fails: %s", what, failure, exc_info=None if known else failure)
        elif not failure and what in self._troubles:
            self._troubles.discard(what)
            logger.info("%s what is kept in Redis goes well again", what)
