"""How many passages each collection has, for metrics: counted when somebody asks, but for a small part of the time."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Final

from service.access.base import Access
from service.errors import StoreUnavailable, UnknownCollection
from service.stores.base import Store
from service.telemetry import Telemetry

logger = logging.getLogger(__name__)

LARGEST_COLLECTIONS: Final = 50
"""That have a label of their own; the others are one."""
PAUSE: Final = 10
"""Times as long as a count took, until the next: whoever asks all the time has the store busy for a tenth of it."""

MOMENT_SECONDS: Final = 1.0
"""That a scrape waits for a count."""


class Census:
    """Counts the collections of all tenants together; tenants are never told apart."""

    def __init__(
        self, store: Store, access: Access, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._access = access
        self._telemetry = telemetry
        self._clock = clock
        self._counting: asyncio.Task[None] | None = None
        self._again_at = 0.0

    async def take(self) -> None:
        """Bring the gauges up to date, unless that was done just now; what takes longer than a moment goes on alone."""
        if self._counting is None and self._clock() >= self._again_at:
            self._counting = asyncio.create_task(self._count(), context=Context())  # no part of the scrape
        if self._counting:
            await asyncio.wait({self._counting}, timeout=MOMENT_SECONDS)

    async def close(self) -> None:
        """End a count that is under way."""
        if self._counting:
            self._counting.cancel()
            await asyncio.wait({self._counting})

    async def _count(self) -> None:
        began = self._clock()
        try:
            self._publish(await self._passages())
        except StoreUnavailable as error:
            logger.info("passages are not counted for now: %s", error)
        except Exception:
            logger.exception("counting passages failed")
        finally:
            self._again_at = self._clock() + PAUSE * (self._clock() - began)
            self._counting = None

    def _publish(self, sizes: Counter[str]) -> None:
        gauge = self._telemetry.passages
        gauge.clear()
        ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
        for name, passages in ordered[:LARGEST_COLLECTIONS]:
            gauge.labels(name).set(passages)
        if rest := ordered[LARGEST_COLLECTIONS:]:
            gauge.labels("other").set(sum(passages for _, passages in rest))

    async def _passages(self) -> Counter[str]:
        sizes: Counter[str] = Counter()
        for tenant in self._access.tenants():
            for collection in await self._store.collections(tenant):
                with suppress(UnknownCollection):  # deleted meanwhile
                    sizes[collection.name] += (await self._store.size(collection)).passages
        return sizes
