"""What was deleted from the caches: a number for each deletion, which every cached value is held against."""

import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from service.caches.base import Cached, Kind
from service.caches.following import CHANNEL, Follower
from service.caches.redis import Redis

LATEST: Final = "latest"
LONGEST_LIFE_SECONDS: Final = 90_000
"""Nothing cached lives longer: a day, its jitter and a margin. Deletions from before need no longer be known."""
DELETE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local latest = math.max(tonumber(redis.call('HGET', KEYS[1], 'latest') or 0) + 1, now)
local old = redis.call('HGETALL', KEYS[1])
for place = 1, #old, 2 do
  if tonumber(old[place + 1]) < now - ARGV[2] then redis.call('HDEL', KEYS[1], old[place]) end
end
local number = string.format('%.0f', latest)
redis.call('HSET', KEYS[1], 'latest', number, ARGV[1], number)
redis.call('PUBLISH', ARGV[3], KEYS[1])
return number
"""


class Scope(Struct, frozen=True):
    """What a deletion covers, of one tenant; empty covers all."""

    kind: Kind | None = None
    collection: str | None = None
    owner: str | None = None
    """Hash of a user."""

    @property
    def name(self) -> str:
        """Name of its field in the tenant's deletions."""
        return f"{self.kind or ''}/{self.collection or ''}/{self.owner or ''}"


class Deletions:
    """The deletions of each tenant, as far as this process knows: at once its own, the others' within a second."""

    def __init__(self, redis: Redis | None, follower: Follower | None) -> None:
        self._redis = redis
        self._follower = follower
        self._known: dict[str, dict[str, int]] = {}

    def number(self, tenant: str) -> int:
        """Return the number of the tenant's last deletion that is known."""
        return self._known.get(tenant, {}).get(LATEST, 0)

    def allows(self, tenant: str, cached: Cached, kind: Kind, collection: str) -> bool:
        """Whether no deletion covers the value."""
        known = self._known.get(tenant)
        if known is None or cached.epoch >= known.get(LATEST, 0):
            return True
        covering = (
            Scope(one_kind, one_collection, one_owner).name
            for one_kind in (None, kind)
            for one_collection in (None, collection)
            for one_owner in (None, cached.owner or None)
        )
        return all(known.get(name, 0) <= cached.epoch for name in covering)

    async def follow(self, tenant: str) -> None:
        """Know the tenant's deletions from now on; raises RedisUnavailable where they cannot be read the first time."""
        if self._redis is None or self._follower is None:
            return
        self._follower.watch(_key(tenant), lambda: self._read(tenant))
        if tenant not in self._known:
            await self._read(tenant)

    async def delete(self, tenant: str, scope: Scope) -> None:
        """Delete what the scope covers: at once here, in other processes as soon as they hear of it.

        Raises RedisUnavailable where Redis cannot be told; then it holds in this process alone.
        """
        self._learn(tenant, dict.fromkeys((LATEST, scope.name), max(self.number(tenant) + 1, time.time_ns() // 1000)))
        if self._redis:
            arguments = scope.name, LONGEST_LIFE_SECONDS * 1_000_000, CHANNEL
            replies = await self._redis.run(_key(tenant), ("EVAL", DELETE, 1, _key(tenant), *arguments))
            self._learn(tenant, dict.fromkeys((LATEST, scope.name), int(replies.values[0])))

    async def _read(self, tenant: str) -> None:
        if self._redis:
            replies = await self._redis.run(_key(tenant), ("HGETALL", _key(tenant)))
            fields = replies.values[0]
            pairs = fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
            self._learn(tenant, {name.decode(): int(number) for name, number in pairs})

    def _learn(self, tenant: str, numbers: Mapping[str, int]) -> None:
        """Take over what is newer. What this process knew is never forgotten: Redis may have lost it."""
        known = self._known.setdefault(tenant, {})
        for name, number in numbers.items():
            known[name] = max(number, known.get(name, 0))


def _key(tenant: str) -> str:
    return f"retrieval:deletions:{{{tenant}}}"
