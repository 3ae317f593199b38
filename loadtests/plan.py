"""How much of what is asked, by how many, when: the one place to change a load."""

from typing import Final, NamedTuple

RAG_QUERY: Final = 10
UPLOAD_DOCUMENT: Final = 5
CACHED_QUERY: Final = 1
FAQ: Final = 4
"""Weights: how often a user does each, beside the others."""

SHORTEST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 3.0
"""Between two requests of one user."""

MOST_FAILURES: Final = 0.001
"""Part of the requests that may fail; more, and the run fails."""


class Stage(NamedTuple):
    """A part of the run: so many users at its end, reached evenly."""

    seconds: float
    share: float
    """Of the peak number of users."""


STAGES: Final = (
    Stage(30, 0.25),
    Stage(60, 1.0),
    Stage(120, 1.0),
    Stage(15, 1.5),
    Stage(30, 1.5),
    Stage(15, 0.25),
)
"""Warm up, ramp, hold, burst, hold, cool down."""
PEAK_USERS: Final = 100


def users_at(seconds: float, peak: int, stretch: float) -> int | None:
    """Return how many users there are so long after the start, None when it is over; `stretch` scales the durations."""
    before, begins = 0.0, 0.0
    for stage in STAGES:
        ends = begins + stage.seconds * stretch
        if seconds < ends:
            part = (seconds - begins) / (ends - begins)
            return max(1, round(peak * (before + (stage.share - before) * part)))
        before, begins = stage.share, ends
    return None
