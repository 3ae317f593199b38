"""What one request may wait for a dependency in all, however many calls it makes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Clock = Callable[[], float]
"""Monotonic seconds."""


class Budget:
    """Seconds to wait, shared by the tasks of a request; what several wait at the same time counts once."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._spent = 0.0
        self._waiting = 0
        self._since = 0.0

    @property
    def remaining(self) -> float:
        """Seconds that are left; never negative."""
        running = self._clock() - self._since if self._waiting else 0.0
        return max(0.0, self._seconds - self._spent - running)

    @contextmanager
    def spend(self) -> Iterator[float]:
        """Count the time of a block, and tell how many seconds it may take; it has to keep to them itself."""
        remaining = self.remaining
        if not self._waiting:
            self._since = self._clock()
        self._waiting += 1
        try:
            yield remaining
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._spent += self._clock() - self._since


REDIS_BUDGET: ContextVar[Budget | None] = ContextVar("redis_budget", default=None)
"""Of the request that runs, also in the tasks it starts. Without one, as in the background, each call has its own."""


@contextmanager
def budgeted(budget: Budget | None) -> Iterator[None]:
    """Let the calls of a block, and of the tasks that begin in it, share one budget for Redis."""
    token = REDIS_BUDGET.set(budget)
    try:
        yield
    finally:
        REDIS_BUDGET.reset(token)
