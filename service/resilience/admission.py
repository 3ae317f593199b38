"""How many searches are computed at once, learnt from how long they take; who would wait long is refused early."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import Final, Literal, get_args

from service.errors import Overloaded
from service.resilience.places import Full, Late, Places

logger = logging.getLogger(__name__)

FEWEST: Final = 16
MOST: Final = 256
FIRST: Final = 64
LONGEST_WAIT_SECONDS: Final = 1.0
MOST_WAITING: Final = 512
MOST_OF_ONE: Final = 384
"""Of one tenant, so that there is room for others; and those who wait take turns by tenant."""
LOGGED_EVERY_SECONDS: Final = 10.0
SAMPLES: Final = 50
"""Computations between two looks at the limit."""
QUIET: Final = 4
"""Computations at once that do not slow each other down much: what they take is what one takes unloaded."""
TOLERANCE: Final = 2.0
"""By how much computations may slow each other down before fewer are admitted."""
SMOOTHING: Final = 0.2
"""Part of the way that the limit goes to what the last computations suggest."""

Reason = Literal["queue_full", "queue_timeout"]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


class Limit:
    """A limit of concurrency that follows latency, after Netflix's gradient (concurrency-limits).

    The gradient is the time unloaded by the time now. What is unloaded is learnt only while few run: a long overload
    does not become the norm.
    """

    def __init__(self) -> None:
        self.value = float(FIRST)
        self._quiet_seconds: float | None = None
        self._samples: list[float] = []
        self._most_running = 0

    def observe(self, seconds: float, running: int) -> None:
        """Take note of a computation, and of how many ran beside it, itself included."""
        if running <= QUIET:
            known = self._quiet_seconds
            self._quiet_seconds = seconds if known is None else known + (seconds - known) / SAMPLES
        self._samples.append(seconds)
        self._most_running = max(self._most_running, running)
        if len(self._samples) >= SAMPLES:
            self._look(median(self._samples))
            self._samples.clear()
            self._most_running = 0

    def observe_broken_off(self, seconds: float, running: int) -> None:
        """Take note of a computation that nobody waited for to its end: of one that was quick it says nothing."""
        if self._quiet_seconds is not None and seconds > TOLERANCE * self._quiet_seconds:
            self.observe(seconds, max(running, QUIET + 1))

    def _look(self, usual: float) -> None:
        if self._quiet_seconds is None or not usual:
            return
        gradient = min(1.0, max(0.5, TOLERANCE * self._quiet_seconds / usual))
        if gradient == 1 and self._most_running < self.value / 2:
            return  # a limit that nothing reaches says nothing
        suggested = self.value * gradient + self.value**0.5
        self.value = min(MOST, max(FEWEST, self.value + SMOOTHING * (suggested - self.value)))


class Admission:
    """Turns at computing. Who gets none in time is refused: an early answer that says so helps more than a late one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, wait_seconds: float = LONGEST_WAIT_SECONDS) -> None:
        self.shed: Counter[Reason] = Counter(dict.fromkeys(REASONS, 0))
        """Refusals."""
        self._limit = Limit()
        self._places = Places(FIRST, MOST_WAITING, MOST_OF_ONE)
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._logged = clock() - LOGGED_EVERY_SECONDS

    @property
    def limit(self) -> int:
        """How many may compute at once, at present."""
        return int(self._limit.value)

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Wait for a turn and have it in the block; raises Overloaded."""
        await self._take(tenant)
        began, running = self._clock(), self._places.taken
        try:
            yield
            self._limit.observe(self._clock() - began, max(running, self._places.taken))
        except asyncio.CancelledError:
            self._limit.observe_broken_off(self._clock() - began, running)
            raise
        finally:
            self._places.give()
            self._places.resize(self.limit)

    async def _take(self, tenant: str) -> None:
        try:
            await self._places.take(self._wait_seconds, tenant)
        except Full as full:
            self.shed["queue_timeout" if isinstance(full, Late) else "queue_full"] += 1
            self._log()
            raise Overloaded(
                f"The service is overloaded: {self.limit} searches are computed and others wait. Try again shortly."
            ) from None

    def _log(self) -> None:
        """Say it once in a while: an overload must not fill the log as well."""
        if (now := self._clock()) - self._logged >= LOGGED_EVERY_SECONDS:
            self._logged = now
            logger.warning("searches are refused: overloaded", extra={"limit": self.limit, "refused": dict(self.shed)})
