"""The tier in the process's memory: bounded in bytes, it keeps what is asked for again (docs/adr/0006)."""

from collections import OrderedDict
from typing import Final

from service.caches.base import Cached

ENTRY_BYTES: Final = 800
"""What an entry takes beside its key and value, measured: objects, dictionaries and their room to grow."""
LARGEST_SHARE: Final = 16
"""An entry larger than this part of the bound would cost too many others."""
MOST_SPARED: Final = 64
"""Asked-for entries that one eviction passes over at most, so that no put sweeps the whole tier."""

Queue = OrderedDict[str, None]
"""Keys, the oldest first."""


class MemoryTier:
    """Keys to cached values, up to `max_bytes` together. Whether a value may still be served is the caller's business.

    Evicts by SIEVE (Zhang and others, NSDI 2024). A hand goes from the oldest entry to the newest and begins again: it
    evicts what was not asked for since it last came by, and spares the rest once. The entries that it will still meet
    on this round stand in `_ahead`, those that it has spared in `_spared`. For the thread of the event loop alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: dict[str, Cached] = {}
        self._asked: set[str] = set()
        self._ahead: Queue = OrderedDict()
        self._spared: Queue = OrderedDict()
        self._bytes = 0
        self._evictions = 0

    def get(self, key: str) -> Cached | None:
        cached = self._entries.get(key)
        if cached is not None:
            self._asked.add(key)
        return cached

    def put(self, key: str, cached: Cached) -> None:
        """Keep a value in place of what the key had; one that is too large is not kept."""
        self.remove(key)
        size = _size(key, cached)
        if size > self._max_bytes // LARGEST_SHARE:
            return
        while self._bytes + size > self._max_bytes:
            self._evict()
        self._hand()[key] = None
        self._entries[key] = cached
        self._bytes += size

    def remove(self, key: str) -> None:
        """Forget a key; nothing happens where it is not kept."""
        cached = self._entries.pop(key, None)
        if cached is None:
            return
        self._bytes -= _size(key, cached)
        self._asked.discard(key)
        queue = self._ahead if key in self._ahead else self._spared
        del queue[key]

    def clear(self) -> None:
        self._entries.clear()
        self._asked.clear()
        self._ahead.clear()
        self._spared.clear()
        self._bytes = 0

    def items(self) -> list[tuple[str, Cached]]:
        """Return all there is now, in no order; entries may be put and removed while it is read."""
        return [*self._entries.items()]

    @property
    def bytes(self) -> int:
        """How much of the bound is used."""
        return self._bytes

    @property
    def entries(self) -> int:
        return len(self._entries)

    @property
    def evictions(self) -> int:
        """How many entries had to go for others, since the start."""
        return self._evictions

    def _evict(self) -> None:
        key = self._take()
        for _ in range(MOST_SPARED):
            if key not in self._asked:
                break
            self._asked.remove(key)
            self._spared[key] = None
            key = self._take()
        self._asked.discard(key)
        self._bytes -= _size(key, self._entries.pop(key))
        self._evictions += 1

    def _take(self) -> str:
        """Take the key under the hand out of its queue, which moves the hand on."""
        return self._hand().popitem(last=False)[0]

    def _hand(self) -> Queue:
        """Return the entries that the hand has before it on this round; begins the next round where none is left."""
        if not self._ahead:
            self._ahead, self._spared = self._spared, self._ahead
        return self._ahead


def _size(key: str, cached: Cached) -> int:
    return len(key) + len(cached.value) + ENTRY_BYTES
