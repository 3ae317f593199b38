"""Whether the version that a process knows of a collection is the current one."""

import time
from collections.abc import Callable
from typing import Final, Protocol

from service.caches.base import ledger_name
from service.caches.ledgers import RedisVersions
from service.models import Collection

SETTLED_TTL_SECONDS: Final = 5.0
"""Of a result computed while a copy may have answered that lags behind a write."""


class Freshness(Protocol):
    """What a cache of results asks of the versions."""

    def is_confirmed(self, collection: Collection) -> bool:
        """Whether the entry's version was the current one less than a second ago."""
        ...

    def proves(self, collection: Collection, minimum: str) -> bool:
        """Whether the entry's version is `minimum` or a later one."""
        ...

    def most_ttl_seconds(self, collection: Collection) -> float:
        """Return how long a result computed now may be kept."""
        ...

    async def outlast(self, collection: Collection) -> None:
        """Return when all writes that may have begun before the entry was as it is are over."""
        ...


class OwnVersions:
    """Of a store that one process owns: its entries are always current, and there is nothing newer anywhere."""

    def is_confirmed(self, _: Collection) -> bool:
        return True

    def proves(self, _: Collection, __: str) -> bool:
        return True

    def most_ttl_seconds(self, _: Collection) -> float:
        return float("inf")

    async def outlast(self, _: Collection) -> None:
        """Return at once: the store itself refuses what was meant for an older entry."""


class SharedVersions:
    """Of a store that many processes share: Redis keeps the versions. `lags` tells of copies that missed writes."""

    def __init__(self, versions: RedisVersions, settling_seconds: float, lags: Callable[[], bool] = bool) -> None:
        self._versions = versions
        self._settling_seconds = settling_seconds
        self._lags = lags

    def is_confirmed(self, collection: Collection) -> bool:
        return self._versions.current(ledger_name(collection.tenant, collection.name)) == collection.version

    def proves(self, collection: Collection, minimum: str) -> bool:
        name = ledger_name(collection.tenant, collection.name)
        return self.is_confirmed(collection) and self._versions.proves(name, minimum)

    def most_ttl_seconds(self, collection: Collection) -> float:
        raised = self._versions.raised(ledger_name(collection.tenant, collection.name))
        is_settled = time.monotonic() - raised >= self._settling_seconds and not self._lags()
        return float("inf") if is_settled else SETTLED_TTL_SECONDS

    async def outlast(self, collection: Collection) -> None:
        await self._versions.outlast(ledger_name(collection.tenant, collection.name))
