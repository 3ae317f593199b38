"""The list of the hottest requests, kept from one process' life to the next: in Redis, or in the data directory."""

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from service.caches.base import LAYOUT
from service.caches.redis import Redis

KEY: Final = f"{LAYOUT}:hot"
MOST_KEPT: Final = 1000
LIFE_SECONDS: Final = 30 * 86_400
HALF_LIFE_SECONDS: Final = 7 * 86_400
BEGINNING: Final = 1_767_225_600
"""Unix time of 2026-01-01: the weight of a request doubles with each half-life since, so that old ones fade."""


class Hot(Struct, frozen=True):
    """A request, as it is made to a route."""

    tenant: str
    path: str
    body: bytes
    """JSON."""


class HotList(Protocol):
    """Where the list is kept."""

    async def add(self, counts: Sequence[tuple[Hot, int]]) -> None:
        """Add to the counts of requests; raises RedisUnavailable or OSError."""
        ...

    async def read(self, most: int) -> list[Hot]:
        """Return the hottest requests, the hottest first; raises the same."""
        ...


class RedisHotList:
    """In Redis, of all processes together."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, counts: Sequence[tuple[Hot, int]]) -> None:
        if not counts:
            return
        weight = _weight()
        added = [("ZINCRBY", KEY, count * weight, msgspec.msgpack.encode(hot)) for hot, count in counts]
        trimmed = ("ZREMRANGEBYRANK", KEY, 0, -MOST_KEPT - 1), ("EXPIRE", KEY, LIFE_SECONDS)
        await self._redis.run(KEY, *added, *trimmed)

    async def read(self, most: int) -> list[Hot]:
        replies = await self._redis.run(KEY, ("ZREVRANGE", KEY, 0, most - 1))
        return [hot for member in replies.values[0] or [] if (hot := _decoded(member))]


class FileHotList:
    """In a file, of a process that has no Redis."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writing = threading.Lock()

    async def add(self, counts: Sequence[tuple[Hot, int]]) -> None:
        if counts:
            await asyncio.to_thread(self._add, counts)

    async def read(self, most: int) -> list[Hot]:
        return await asyncio.to_thread(self._read, most)

    def _add(self, counts: Sequence[tuple[Hot, int]]) -> None:
        with self._writing:  # whoever waited for the last writing may have given up: its thread goes on
            weights = self._weights()
            for hot, count in counts:
                member = msgspec.msgpack.encode(hot)
                weights[member] = weights.get(member, 0.0) + count * _weight()
            kept = sorted(weights.items(), key=lambda item: -item[1])[:MOST_KEPT]
            partial = self._file.with_suffix(".partial")
            partial.touch(mode=0o600)  # it holds what people asked
            partial.write_bytes(msgspec.msgpack.encode(kept))
            partial.replace(self._file)

    def _read(self, most: int) -> list[Hot]:
        ordered = sorted(self._weights().items(), key=lambda item: -item[1])
        return [hot for member, _ in ordered[:most] if (hot := _decoded(member))]

    def _weights(self) -> dict[bytes, float]:
        try:
            return dict(msgspec.msgpack.decode(self._file.read_bytes(), type=list[tuple[bytes, float]]))
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}


def _weight() -> float:
    return float(2 ** ((time.time() - BEGINNING) / HALF_LIFE_SECONDS))


def _decoded(member: bytes) -> Hot | None:
    """Return a member of the list; None where another release or anybody else wrote it."""
    try:
        return msgspec.msgpack.decode(member, type=Hot)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
