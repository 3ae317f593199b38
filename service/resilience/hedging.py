"""Says when a call is late enough for a second try elsewhere, and keeps the second tries few."""

from collections import deque
from typing import Final

SHARE: Final = 0.05
"""Of calls that may be sent twice for being late."""
BURST: Final = 10
"""Second tries that may follow one another at once, after quieter times."""
WINDOW: Final = 512
"""Latencies that are remembered."""
RENEWAL: Final = 32
"""Latencies after which the percentile is taken anew: sorting them costs each call less than a microsecond."""
PERCENTILE: Final = 0.95
SHORTEST_SECONDS: Final = 0.005
"""Timers are no finer under load, and nobody notices less."""
SHORTEST_SILENCE_SECONDS: Final = 0.1
VERY_LATE: Final = 4
"""Times as late as a call that is tried twice."""
FIRST_SECONDS: Final = 0.05
"""Until enough latencies are known."""


class Hedging:
    """A call is late after the 95th percentile of recent latencies; a twentieth of calls may be tried twice for it."""

    def __init__(self) -> None:
        self.late_seconds = FIRST_SECONDS
        """After which a call is late."""
        self.sent = 0
        self.won = 0
        """Second tries that answered first."""
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._unsorted = 0
        self._allowed = float(BURST)

    @property
    def silent_seconds(self) -> float:
        """After which one that answers nobody meanwhile is not merely late."""
        return max(SHORTEST_SILENCE_SECONDS, VERY_LATE * self.late_seconds)

    def observe(self, seconds: float) -> None:
        """Note how long a call took, or has taken so far when it was given up."""
        self._recent.append(seconds)
        self._unsorted += 1
        if self._unsorted == RENEWAL:
            self._unsorted = 0
            ordered = sorted(self._recent)
            self.late_seconds = max(SHORTEST_SECONDS, ordered[int(PERCENTILE * len(ordered))])

    def earn(self) -> None:
        """Count a call."""
        self._allowed = min(BURST, self._allowed + SHARE)

    def spend(self) -> bool:
        """Whether a second try may be sent now; it is counted."""
        if self._allowed < 1:
            return False
        self._allowed -= 1
        self.sent += 1
        return True
