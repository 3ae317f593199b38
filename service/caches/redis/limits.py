"""The time that one call may take: tells when it becomes slow, and ends what it waits for when it is over."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

TURN_SECONDS: Final = 0.001
"""For the loop to read what has arrived: uvloop runs the timers that are due before it reads."""
EARLY_SECONDS: Final = 0.003
"""That a call ends before its time is over: a turn, and the millisecond to which loops round each of two timers."""
MOST_EARLY_SHARE: Final = 0.25
"""Of a call's time, where that is so short."""


class Limit:
    """Seconds for one call. Where it may become slow and does, `on_slow` is called once, before it ends.

    A timer that fires late tells that the process itself was busy. Redis is not to blame for that: before it is called
    slow it gets as much time again, at most what makes it slow. At the end it has one turn of the loop.
    """

    def __init__(self, seconds: float, slow_seconds: float, on_slow: Callable[[], None]) -> None:
        self.was_slow = False
        self._loop = asyncio.get_running_loop()
        self._on_slow = on_slow
        self._slow_seconds = slow_seconds
        self._waited_for: asyncio.Future[Any] | None = None
        self._over: str | None = None
        seconds -= min(EARLY_SECONDS, MOST_EARLY_SHARE * seconds)
        began = self._loop.time()
        self._ends = began + seconds
        if seconds >= slow_seconds:
            self._due = began + slow_seconds
            self._timer = self._loop.call_at(self._due, self._turn_before_slow)
        else:
            self._timer = self._loop.call_at(self._ends, self._turn_before_end)

    async def wait(self, future: asyncio.Future[T]) -> T:
        """Wait for a future; raises TimeoutError in it where the time is over, or was before."""
        self._waited_for = future
        if self._over is not None:
            self.end(self._over)
        return await future

    def end(self, reason: str = "") -> None:
        """End at once what is waited for, now or next, by a TimeoutError that says why."""
        self._timer.cancel()
        self._over = reason
        if self._waited_for and not self._waited_for.done():
            self._waited_for.set_exception(TimeoutError(reason))

    def close(self) -> None:
        """Stop the clock."""
        self._timer.cancel()

    def _turn_before_slow(self) -> None:
        late = min(max(0.0, self._loop.time() - self._due), self._slow_seconds)
        self._timer = self._loop.call_later(TURN_SECONDS + late, self._slow)

    def _slow(self) -> None:
        self._timer = self._loop.call_at(max(self._ends, self._loop.time()), self._turn_before_end)
        if self._waited_for is None or not self._waited_for.done():
            self.was_slow = True
            self._on_slow()

    def _turn_before_end(self) -> None:
        self._timer = self._loop.call_later(TURN_SECONDS, self.end)
