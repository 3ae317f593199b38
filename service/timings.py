"""How long the last of many things took: for people who ask, where histograms are for dashboards."""

import time
from collections import deque
from typing import Final

from msgspec import Struct

MINUTE: Final = 60.0
MOST: Final = 1024
"""Times that are kept of one thing."""


class Timing(Struct, frozen=True):
    """How often something happened since the start, and how long the last ones took."""

    count: int
    rate: float
    """A second, over the last minute."""
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Recent:
    """The last times of one thing."""

    def __init__(self) -> None:
        self._count = 0
        self._last: deque[tuple[float, float]] = deque(maxlen=MOST)

    def observe(self, seconds: float) -> None:
        self._count += 1
        self._last.append((time.monotonic(), seconds))

    @property
    def has_any(self) -> bool:
        return self._count > 0

    def timing(self) -> Timing:
        now = time.monotonic()
        of_minute = [when for when, _ in self._last if now - when < MINUTE]
        is_cut = len(of_minute) == len(self._last) < self._count
        span = now - of_minute[0] if is_cut else MINUTE
        ordered = sorted(seconds * 1000 for _, seconds in self._last)
        p50, p95, p99 = (round(ordered[int(part * (len(ordered) - 1))], 3) for part in (0.5, 0.95, 0.99))
        return Timing(self._count, round(len(of_minute) / span, 3), p50, p95, p99)
