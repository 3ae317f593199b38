"""Warming: the hottest requests are answered once before anybody asks, so that a new process begins with hits."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from service.caches.base import Demands
from service.errors import RedisUnavailable, RetrievalError
from service.search.answering import Answering
from service.search.hottest import MOST_KEPT, Hot, HotList
from service.search.popularity import Popularity
from service.stages import Stages
from service.telemetry import Telemetry

logger = logging.getLogger(__name__)

SAVED_EVERY_SECONDS: Final = 60.0
LONGEST_SECONDS: Final = 5.0
"""That a warm-up may take: a start waits for it."""


class Warmed(Struct, frozen=True):
    """What became of a warm-up."""

    warmed: int
    failed: int
    skipped: int
    """For want of time."""


class Warmer:
    """Answers the hottest requests, and writes down which they are."""

    def __init__(
        self,
        answering: Mapping[str, tuple[type[Any], Answering[Any, Any]]],
        popularity: Popularity,
        hot: HotList,
        telemetry: Telemetry,
        most: int,
    ) -> None:
        self._answering = answering
        self._popularity = popularity
        self._hot = hot
        self._telemetry = telemetry
        self._most = most

    async def hottest(self, tenant: str | None = None) -> list[Hot]:
        """Return the requests of the list, of one tenant or of all; none where it cannot be read."""
        try:
            if tenant is None or not self._most:
                return await self._hot.read(self._most) if self._most else []
            return [hot for hot in await self._hot.read(MOST_KEPT) if hot.tenant == tenant][: self._most]
        except (RedisUnavailable, OSError) as error:
            logger.warning("the list of the hottest requests cannot be read: %s", error)
            return []

    async def hottest_now(self, tenant: str) -> list[Hot]:
        """Return the requests of the list with what was asked up to now."""
        if self._most:
            await self.save()
        return await self.hottest(tenant)

    async def warm(self, requests: Sequence[Hot], longest_seconds: float = LONGEST_SECONDS) -> Warmed:
        """Answer the requests one after another, for so long in all; what fails is counted."""
        warmed = failed = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_seconds):
                for request in requests:
                    if await self._is_answered(request):
                        warmed += 1
                    else:
                        failed += 1
        return Warmed(warmed, failed, len(requests) - warmed - failed)

    async def save(self) -> None:
        """Add what was asked since the last time to the list."""
        try:
            await self._hot.add(self._popularity.take())
        except (RedisUnavailable, OSError) as error:
            logger.warning("the list of the hottest requests cannot be written: %s", error)

    @asynccontextmanager
    async def saving(self) -> AsyncIterator[None]:
        """Save every minute, and at the end."""

        async def save_for_ever() -> None:
            while True:
                await asyncio.sleep(SAVED_EVERY_SECONDS)
                await self.save()

        task = asyncio.create_task(save_for_ever())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            await self.save()

    async def _is_answered(self, request: Hot) -> bool:
        """Answer a request. Whatever another release or anybody else wrote into the list, a start goes on."""
        try:
            kind, answering = self._answering[request.path]
            wanted = msgspec.json.decode(request.body, type=kind)
            await answering.answer(request.tenant, wanted, Demands(), Stages(self._telemetry))
        except (RetrievalError, msgspec.MsgspecError) as error:
            logger.info("a request of the warm-up failed: %s", error)
            return False
        except Exception:
            logger.warning("a request of the warm-up failed", exc_info=True, extra={"path": request.path})
            return False
        return True
