"""Leaves a dependency alone that fails or is slow, and says when to look again."""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
PROBE_SECONDS = 1.0


class Breaker:
    """Opens after failures in a row, closes by a good probe only: what was under way when it opened decides nothing.

    It neither calls nor waits: its owner asks `is_open` before a call, tells what came of it, and probes.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.is_open = False
        self.since = clock()
        """When it last opened or closed, on the clock that it was given."""
        self.openings = 0
        self.failures = 0
        """Of all time, probes included."""
        self._clock = clock
        self._in_a_row = 0
        self._probe_at = 0.0

    def succeeded(self) -> None:
        """Note a call that went well."""
        self._in_a_row = 0

    def failed(self, reason: str) -> None:
        """Note a call that failed or was slow."""
        self.failures += 1
        self._in_a_row += 1
        if self._in_a_row >= FAILURES_IN_A_ROW:
            self.trip(reason)

    def trip(self, reason: str) -> None:
        """Open at once."""
        if self.is_open:
            return
        self._turn(is_open=True)
        self.openings += 1
        self._probe_at = self.since + PROBE_SECONDS
        logger.warning("%s is left alone, tried again every %g s: %s", self.name, PROBE_SECONDS, reason)

    def seconds_to_probe(self) -> float:
        """Return how long to wait before the next probe; zero where it is due."""
        return max(0.0, self._probe_at - self._clock())

    def probed(self, *, is_well: bool) -> None:
        """Note what came of a probe; a good one closes."""
        if not self.is_open:
            return
        if is_well:
            seconds = self._clock() - self.since
            self._turn(is_open=False)
            logger.warning("%s is used again, after %.1f s", self.name, seconds)
        else:
            self.failures += 1
            self._probe_at = self._clock() + PROBE_SECONDS

    def _turn(self, *, is_open: bool) -> None:
        self.is_open = is_open
        self.since = self._clock()
        self._in_a_row = 0
