"""Statistics of the collections that are searched with filters: taken in the background, never while a search waits."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextvars import Context
from typing import Final

from msgspec import Struct, field

from service.caches.freshness import Freshness
from service.errors import RetrievalError
from service.models import Collection
from service.search.statistics import Statistics, take
from service.stores.base import Store

logger = logging.getLogger(__name__)

MOST_COLLECTIONS: Final = 64
"""The one not searched with a filter for the longest is forgotten first."""
MOST_FIELDS: Final = 16
"""Of a collection; the same."""
SHARE: Final = 0.05
"""Of the time that taking statistics of a collection may fill, however often it is written to."""
SHORT_SECONDS: Final = 0.001
"""A call that holds up nobody; no timer is finer."""
PAUSE_SECONDS: Final = 5.0
"""Between two times at the least."""


class _Watched(Struct):
    fields: OrderedDict[str, None]
    taken: set[str] = field(default_factory=set)
    """Fields whose statistics were ever taken: none of them skips the pause."""
    statistics: Statistics | None = None
    not_before: float = 0.0
    """Monotonic seconds: when they may be taken again."""
    is_running: bool = False


class Refreshing:
    """Knows the statistics of collections; takes them anew when a search finds them old. Lives on one event loop."""

    def __init__(
        self,
        store: Store,
        freshness: Freshness,
        *,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._freshness = freshness
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._watched: OrderedDict[tuple[str, str], _Watched] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def known(self, collection: Collection, fields: AbstractSet[str]) -> Statistics | None:
        """Return the statistics as they are; where they are not of this version and these fields, orders new ones."""
        place = collection.tenant, collection.name
        watched = self._watched.get(place)
        if watched is None:
            watched = self._watched[place] = _Watched(OrderedDict())
            if len(self._watched) > MOST_COLLECTIONS:
                self._watched.popitem(last=False)
        else:
            self._watched.move_to_end(place)
        for name in fields:
            watched.fields[name] = None
            watched.fields.move_to_end(name)
        while len(watched.fields) > max(MOST_FIELDS, len(fields)):
            watched.fields.popitem(last=False)
        if not watched.is_running and not _serves(watched.statistics, collection, fields):
            self._order(collection, watched, fields)
        return watched.statistics

    def is_current(self, collection: Collection, minimum_version: str | None) -> bool:
        """Tell whether the entry's version is the collection's newest, as far as anybody has been told."""
        if not self._freshness.is_confirmed(collection):
            return False
        return minimum_version in (None, collection.version) or self._freshness.proves(collection, str(minimum_version))

    async def settle(self) -> None:
        """Wait for what is being taken."""
        while self._running:
            await asyncio.wait([*self._running])

    async def close(self) -> None:
        """Take nothing more."""
        for task in self._running:
            task.cancel()
        await self.settle()

    def _order(self, collection: Collection, watched: _Watched, fields: AbstractSet[str]) -> None:
        # A field that nobody asked for before does not wait for its turn, this once: who goes through many fields, of
        # which the oldest are forgotten, would have statistics taken all the time.
        is_new = watched.statistics is not None and not fields <= watched.taken
        if self._clock() < watched.not_before and not is_new:
            return
        watched.taken |= fields
        watched.is_running = True
        # In a context of its own: it is no part of the search, whose budget and stage times end with the answer.
        task = asyncio.create_task(self._refresh(collection, watched), context=Context())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _refresh(self, collection: Collection, watched: _Watched) -> None:
        started = self._clock()
        try:
            async with self._turn:
                started = self._clock()
                watched.statistics = await self._take(collection, watched)
        except RetrievalError as error:
            logger.info("no statistics for now: %s", error)
        except Exception:
            logger.exception("taking statistics failed")
        finally:
            spent = self._clock() - started
            watched.not_before = self._clock() + max(self._pause_seconds, spent / SHARE)
            watched.is_running = False

    async def _take(self, addressed: Collection, watched: _Watched) -> Statistics | None:
        """Take them between two looks at the version: if it stood still, they are exactly those of that version."""
        before = await self._store.collection(addressed.tenant, addressed.name)
        if before is None:
            return None
        was_settled = self._is_settled(before)
        total, fields = await take(self._store, before, [*watched.fields], _Breath().draw)
        after = await self._store.collection(addressed.tenant, addressed.name)
        is_still = after is not None and after.version == before.version
        is_proof = is_still and was_settled and self._is_settled(before)
        return Statistics(before.version, total, fields, is_proof)

    def _is_settled(self, collection: Collection) -> bool:
        """Whether no copy that is read lags behind a write."""
        return self._freshness.is_confirmed(collection) and self._freshness.most_ttl_seconds(collection) == float("inf")


def _serves(statistics: Statistics | None, collection: Collection, fields: AbstractSet[str]) -> bool:
    if statistics is None or statistics.version != collection.version or not statistics.is_proof:
        return False
    return fields <= statistics.fields.keys()


class _Breath:
    """Lets the searches that wait go first: a call of the embedded store stops them all while it runs."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def draw(self) -> None:
        """Rest as long as the last call took."""
        spent = time.monotonic() - self._since
        await asyncio.sleep(spent if spent > SHORT_SECONDS else 0)
        self._since = time.monotonic()
