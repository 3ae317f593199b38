"""A bounded number of connections to one server. Who waits gets the first that is free, new or returned."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

from service.caches.redis.links import Link, LinkLost, pack

CONNECT_SECONDS = 1.0
CONNECTING_AT_ONCE = 4
"""More would only be slower each; meanwhile, who waits is served by links that come back."""
NO_ANSWER = f"The server did not answer within {CONNECT_SECONDS:g} s."
PING = pack([("PING",)])


class Pool:
    """Links to one server. Making and pinging them happens in tasks of the pool, so no caller's end breaks it off."""

    def __init__(self, open_link: Callable[[], Awaitable[Link]], max_links: int, health_check_seconds: float) -> None:
        self.links: set[Link] = set()
        """All that are connected, idle or in use."""
        self.last_error: LinkLost | None = None
        """Why the last link could not be made."""
        self._open_link = open_link
        self._max_links = max_links
        self._health_check_seconds = health_check_seconds
        self._idle: list[Link] = []
        self._waiting: deque[asyncio.Future[Link]] = deque()
        self._preparing: set[asyncio.Task[None]] = set()
        self._retired: set[Link] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def idle(self) -> int:
        """How many links wait for work."""
        return len(self._idle)

    def take(self) -> Link | None:
        """Return an idle link that is fresh, or None; what was idle for long is pinged before anybody gets it."""
        while self._idle:
            link = self._idle.pop()
            if self._loop.time() - link.used_at < self._health_check_seconds:
                return link
            self._prepare(self._ping(link))
        return None

    def request(self) -> asyncio.Future[Link]:
        """Return a future of a link; raises LinkLost in it where none can be made. End it by `withdraw` or `give`."""
        waiter: asyncio.Future[Link] = self._loop.create_future()
        self._waiting.append(waiter)
        self._grow()
        return waiter

    def withdraw(self, waiter: asyncio.Future[Link]) -> None:
        """Wait no more, whether or not a link has come meanwhile."""
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            self.give(waiter.result())
        with suppress(ValueError):
            self._waiting.remove(waiter)

    def give(self, link: Link) -> None:
        """Return a link, or hand over a new one; no reply may be pending on it."""
        if link in self._retired:
            link.abort()
        if link.is_lost:
            self._grow()
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(link)
                return
        self._idle.append(link)

    def retire(self) -> None:
        """Let no link that exists be used again: idle ones close now, the others when they come back."""
        self._retired = set(self.links)
        for link in [*self._idle]:
            link.abort()
        for task in self._preparing:
            task.cancel()

    async def close(self) -> None:
        """Close all links and let nobody wait."""
        self._max_links = 0
        for task in self._preparing:
            task.cancel()
        await asyncio.gather(*self._preparing, return_exceptions=True)
        for link in [*self.links]:
            link.abort()
        self._fail_waiting("The connections to Redis are closed.")

    def _grow(self) -> None:
        """Make links for those who wait, within the bounds."""
        wanted = min(len(self._waiting), CONNECTING_AT_ONCE)
        room = self._max_links - len(self.links)
        while len(self._preparing) < min(wanted, room):
            self._prepare(self._connect())
        if not self._max_links:
            self._fail_waiting("The connections to Redis are closed.")

    def _prepare(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._preparing.add(task)
        task.add_done_callback(self._prepared)

    def _prepared(self, task: asyncio.Task[None]) -> None:
        self._preparing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            raise error  # a fault of ours: the loop logs it
        if task.cancelled() or self.links:
            self._grow()

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                link = await self._open_link()
        except (LinkLost, TimeoutError) as error:
            self.last_error = error if isinstance(error, LinkLost) else LinkLost(NO_ANSWER)
            if not self.links:
                self._fail_waiting(str(self.last_error))
            return
        link.on_lost = self._lost
        self.links.add(link)
        self.last_error = None
        self.give(link)

    async def _ping(self, link: Link) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await link.ask(PING, 1)
        except (LinkLost, TimeoutError):
            link.abort()
        except BaseException:
            link.abort()
            raise
        self.give(link)

    def _lost(self, link: Link) -> None:
        self.links.discard(link)
        self._retired.discard(link)
        with suppress(ValueError):
            self._idle.remove(link)

    def _fail_waiting(self, reason: str) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(LinkLost(reason))
