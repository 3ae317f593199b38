"""The time that one call may take: tells when it becomes slow, and ends what it waits for when it is over."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

TURN_SECONDS = 0.001
"""For the loop to read what has arrived: uvloop runs the timers that are due before it reads."""


class Limit:
    """Seconds for one call. Where it may become slow and does, `on_slow` is called once, before it ends.

    A timer that fires late tells that the process itself was busy. Redis is not to blame for that: the call gets as
    much time again, at most what makes it slow.
    """

    def __init__(self, seconds: float, slow_seconds: float, on_slow: Callable[[], None]) -> None:
        self.was_slow = False
        self._loop = asyncio.get_running_loop()
        self._on_slow = on_slow
        self._slow_seconds = slow_seconds
        self._waited_for: asyncio.Future[Any] | None = None
        self._ends = self._loop.time() + seconds
        is_long = seconds >= slow_seconds
        self._due = self._ends - seconds + slow_seconds if is_long else self._ends
        self._timer = self._loop.call_at(self._due, self._turn, self._slow if is_long else self._end)

    async def wait(self, future: asyncio.Future[T]) -> T:
        """Wait for a future; raises TimeoutError in it where the time is over."""
        self._waited_for = future
        return await future

    def close(self) -> None:
        """Stop the clock."""
        self._timer.cancel()

    def _turn(self, then: Callable[[], None]) -> None:
        late = min(self._loop.time() - self._due, self._slow_seconds)
        self._timer = self._loop.call_later(TURN_SECONDS + late, then)

    def _slow(self) -> None:
        self._due = max(self._ends, self._loop.time())
        self._timer = self._loop.call_at(self._due, self._turn, self._end)
        if self._waited_for is None or not self._waited_for.done():
            self.was_slow = True
            self._on_slow()

    def _end(self) -> None:
        if self._waited_for and not self._waited_for.done():
            self._waited_for.set_exception(TimeoutError())
