"""The tier in Redis, which all processes share. Its trouble is never its caller's."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from service.caches.base import LAYOUT, Cached, Kind
from service.caches.codec import HEAD, decode, encode, is_of_another_release, owner_in
from service.caches.deletions import Deletions
from service.caches.redis import Redis
from service.errors import RedisUnavailable
from service.stages import timed

logger = logging.getLogger(__name__)

MOST_COUNTED: Final = 50_000
KEYS_OF_CALL: Final = 100


class SharedTier:
    """Values in Redis. `compress` pays where values are text."""

    def __init__(self, redis: Redis, deletions: Deletions, *, compress: bool) -> None:
        self._redis = redis
        self._deletions = deletions
        self._compress = compress
        self.errors = 0
        """Values that Redis did not take, or that are not ours, since the start."""
        self._is_failing = False

    async def read(self, keys: Sequence[str], tenant: str) -> list[Cached | None] | None:
        """Return what is readable of the keys, in one round trip; None where Redis does not answer."""
        try:
            # What another process deleted must be known before anything is served.
            with timed("redis"):
                await self._deletions.follow(tenant)
                values = await self._redis.run_many([(key, ("GET", key)) for key in keys])
        except RedisUnavailable:
            return None
        found = [decode(value) if isinstance(value, bytes) else None for value in values]
        unreadable = [
            key for key, value, one in zip(keys, values, found, strict=True) if not one and _is_foreign(value)
        ]
        if unreadable:
            self.errors += len(unreadable)
            await self.remove(unreadable)
        return found

    async def write(self, values: Mapping[str, Cached]) -> None:
        """Keep the values until they expire; where Redis does not take them nothing happens."""
        calls = [
            (key, ("SET", key, encode(cached, compress=self._compress), "PX", int(cached.ttl_seconds * 1000)))
            for key, cached in values.items()
        ]
        try:
            await self._redis.run_many(calls)
        except RedisUnavailable as error:
            self.errors += len(calls)
            if not self._is_failing:
                logger.warning("values are not kept in Redis: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False

    async def remove(self, keys: Sequence[str]) -> None:
        """Free the room of the keys; where Redis does not answer they expire by themselves."""
        try:
            for some in _slices(keys):
                await self._redis.run_many([(key, ("UNLINK", key)) for key in some])
        except RedisUnavailable:
            return

    async def covered(self, prefix: str, owner: str | None) -> set[str]:
        """Return the keys that begin so, of values computed for this user if one is given; raises RedisUnavailable."""
        keys: set[str] = set()
        async for page in self._redis.scan(f"{prefix}*"):
            if owner is None:
                keys.update(page)
                continue
            for some in _slices(page):
                heads = await self._redis.run_many([(key, ("GETRANGE", key, 0, HEAD - 1)) for key in some])
                keys.update(key for key, head in zip(some, heads, strict=True) if owner_in(head or b"") == owner)
        return keys

    async def size(self, kind: Kind) -> tuple[int, int] | None:
        """Count the values of a kind, of all tenants, and their bytes.

        None where Redis does not answer, or where there are so many that counting them would burden it.
        """
        entries = size = 0
        try:
            async for page in self._redis.scan(f"{LAYOUT}:{kind}:*"):
                if entries > MOST_COUNTED:
                    return None
                lengths = await self._redis.run_many([(key, ("STRLEN", key)) for key in page])
                entries += len(page)
                size += sum(length or 0 for length in lengths)
        except RedisUnavailable:
            return None
        return entries, size


def _is_foreign(value: object) -> bool:
    """Whether what was found under a key of ours is nobody's of ours, whichever release wrote it."""
    return value is not None and not (isinstance(value, bytes) and is_of_another_release(value))


def _slices(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut keys into what one call takes well within its time."""
    return (keys[start : start + KEYS_OF_CALL] for start in range(0, len(keys), KEYS_OF_CALL))
