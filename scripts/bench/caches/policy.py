"""The memory tier's choice of what to keep: its hits on skewed traffic against the best that is possible, and LRU."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from scripts.bench.figures import Figure
from service.caches.base import Cached
from service.caches.memory import ENTRY_BYTES, MemoryTier

KEYS = 100_000
ENTRIES = KEYS // 100
SKEW = 0.9
REQUESTS = 600_000
COUNTED = REQUESTS // 2
"""The first half fills the tier."""
VALUE = bytes(4_000)


async def measure() -> list[Figure]:
    """Count hits on one trace of Zipf's law."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    weights = np.arange(1, KEYS + 1) ** -SKEW
    random = np.random.default_rng(0)
    trace = random.choice(KEYS, REQUESTS, p=weights / weights.sum())
    optimum = float((trace[-COUNTED:] < ENTRIES).mean())
    keys = [f"{key:06}" for key in trace]
    tier = MemoryTier(ENTRIES * (len(keys[0]) + len(VALUE) + ENTRY_BYTES))
    start = time.perf_counter()
    hits = _hits(keys, lambda key: _is_in_tier(tier, key))
    seconds = time.perf_counter() - start
    recent: OrderedDict[str, None] = OrderedDict()
    lru = _hits(keys, lambda key: _is_recent(recent, key))
    return [
        Figure(f"best possible hits, {ENTRIES:,} of {KEYS:,} keys", optimum),
        Figure("hits of the memory tier", hits),
        Figure("hits of the memory tier, of the best possible", hits / optimum, goal=0.9, is_least=True),
        Figure("hits of LRU, of the best possible", lru / optimum),
        Figure("a lookup in the memory tier, and what follows it", seconds / REQUESTS * 1e6, "us"),
    ]


def _hits(keys: list[str], is_hit: Callable[[str], bool]) -> float:
    return sum([is_hit(key) for key in keys][-COUNTED:]) / COUNTED


def _is_in_tier(tier: MemoryTier, key: str) -> bool:
    if tier.get(key) is not None:
        return True
    tier.put(key, Cached(value=VALUE, stored=0.0, ttl_seconds=1.0))
    return False


def _is_recent(recent: OrderedDict[str, None], key: str) -> bool:
    if key in recent:
        recent.move_to_end(key)
        return True
    recent[key] = None
    if len(recent) > ENTRIES:
        recent.popitem(last=False)
    return False
