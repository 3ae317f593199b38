"""What was deleted from the caches: a number for each deletion, which every cached value is held against."""

import time
from collections.abc import Callable, Mapping
from itertools import takewhile
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
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local latest = math.max((tonumber(redis.call('HGET', KEYS[1], 'latest')) or 0) + 1, tonumber(ARGV[4]) + 1, now)
local old = redis.call('HGETALL', KEYS[1])
for place = 1, #old, 2 do
  if (tonumber(old[place + 1]) or 0) < now - ARGV[2] then redis.call('HDEL', KEYS[1], old[place]) end
end
local number = string.format('%.0f', latest)
redis.call('HSET', KEYS[1], 'latest', number, ARGV[1], number)
redis.call('PUBLISH', ARGV[3], KEYS[1])
return number
"""
"""Numbers are the microseconds of Redis's clock, but always exceed all that Redis, or who deletes, has heard of."""


class Scope(Struct, frozen=True):
    """What a deletion covers, of one tenant; empty covers all."""

    kind: Kind | None = None
    collection: str | None = None
    owner: str | None = None
    """Hash of a user."""

    @property
    def name(self) -> str:
        """Name of its field in the tenant's deletions."""
        return _name(self.kind or "", self.collection or "", self.owner or "")


class Deletions:
    """The deletions of each tenant, as far as this process knows: at once its own, the others' within a second.

    Its own clock only tells when what it knows may be forgotten: clocks of two processes differ.
    """

    def __init__(
        self, redis: Redis | None, follower: Follower | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._follower = follower
        self._clock = clock
        self._known: dict[str, dict[str, int]] = {}
        self._learned: dict[str, dict[str, float]] = {}
        """When each number was learned, the oldest first."""
        self._heard: set[str] = set()
        """Tenants whose deletions Redis has told."""
        self._owed: dict[str, dict[str, int]] = {}
        """Those of this process that Redis has not heard yet, with the numbers that they have here."""

    def number(self, tenant: str) -> int:
        """Return the number of the tenant's last deletion that is known."""
        known = self._known.get(tenant)
        return known[LATEST] if known else 0

    def allows(self, tenant: str, cached: Cached, kind: Kind, collection: str) -> bool:
        """Whether no deletion covers the value."""
        known = self._known.get(tenant)
        if known is None or cached.epoch >= known[LATEST]:
            return True
        covering = (
            _name(one_kind, one_collection, owner)
            for owner in (("", cached.owner) if cached.owner else ("",))
            for one_collection in ("", collection)
            for one_kind in ("", kind)
        )
        return all(known.get(name, 0) <= cached.epoch for name in covering)

    async def follow(self, tenant: str) -> None:
        """Know the tenant's deletions from now on; raises RedisUnavailable where they cannot be read the first time."""
        if self._redis is None or self._follower is None:
            return
        # Who answers from memory does not ask again: what is followed once is followed for good.
        self._follower.watch(_key(tenant), lambda: self._read(tenant), is_kept=True)
        if tenant not in self._heard or self._owed.get(tenant):
            await self._read(tenant)

    async def delete(self, tenant: str, scope: Scope) -> None:
        """Delete what the scope covers: at once here, in other processes as soon as they hear of it.

        Raises RedisUnavailable where Redis cannot be told; then it holds in this process alone until Redis is read.
        """
        number = self.number(tenant) + 1
        self._learn(tenant, dict.fromkeys((LATEST, scope.name), number))
        if self._redis:
            self._owed.setdefault(tenant, {})[scope.name] = number
            await self._tell(tenant, scope.name, number, self._redis)

    async def _tell(self, tenant: str, name: str, number: int, redis: Redis) -> None:
        arguments = name, LONGEST_LIFE_SECONDS * 1_000_000, CHANNEL, self.number(tenant)
        replies = await redis.run(_key(tenant), ("EVAL", DELETE, 1, _key(tenant), *arguments))
        self._learn(tenant, dict.fromkeys((LATEST, name), int(replies.values[0])))
        if self._owed[tenant].get(name) == number:
            del self._owed[tenant][name]

    async def _read(self, tenant: str) -> None:
        if self._redis:
            for name, number in [*self._owed.get(tenant, {}).items()]:
                await self._tell(tenant, name, number, self._redis)
            replies = await self._redis.run(_key(tenant), ("HGETALL", _key(tenant)))
            fields = replies.values[0] or []  # None: somebody put something else there
            pairs = fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2], strict=True)
            self._learn(tenant, {name.decode("latin-1"): int(number) for name, number in pairs if number.isdigit()})
            self._heard.add(tenant)

    def _learn(self, tenant: str, numbers: Mapping[str, int]) -> None:
        """Take over what is newer. It is kept as long as any value that it covers: Redis may have lost it."""
        known = self._known.setdefault(tenant, {LATEST: 0})
        learned, now = self._learned.setdefault(tenant, {}), self._clock()
        for name, number in numbers.items():
            if number > known.get(name, 0):
                known[name] = number
                learned.pop(name, None)
                learned[name] = now
        self._forget(known, learned, now - LONGEST_LIFE_SECONDS)

    def _forget(self, known: dict[str, int], learned: dict[str, float], oldest: float) -> None:
        """Drop what was learned before; never the latest number, which the next one must exceed."""
        for name in [*takewhile(lambda name: learned[name] < oldest, learned)]:
            del learned[name]
            if name != LATEST:
                del known[name]


def _name(kind: str, collection: str, owner: str) -> str:
    return f"{kind}/{collection}/{owner}"


def _key(tenant: str) -> str:
    return f"retrieval:deletions:{{{tenant}}}"
