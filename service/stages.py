"""The stages of a request, each timed once for its answer, the metrics and the spans."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from service.telemetry import Telemetry

RUNNING_STAGES: ContextVar["Stages | None"] = ContextVar("stages", default=None)
"""Of the request that is being answered."""


class Stages:
    """The stage times of one request: for Server-Timing, the histograms and the spans."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Time a block as one of STAGES; a stage that runs several times in a request adds up in Server-Timing."""
        start = time.perf_counter()
        try:
            with self._telemetry.stage_span(stage):
                yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
            self._telemetry.observe_stage(stage, spent)

    def server_timing(self, total: float) -> str:
        """Return the Server-Timing header's value, in milliseconds."""
        entries = [*self.seconds.items(), ("total", total)]
        return ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in entries)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Time a block as a stage of the request that it runs for, if it runs for one."""
    stages = RUNNING_STAGES.get()
    if stages is None:
        yield
        return
    with stages.time(stage):
        yield
