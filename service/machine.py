"""What of the machine this process may use."""

import math
import os
import sys
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of a container, in version 2 of control groups: microseconds in a period, and the period."""
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The same, in bytes."""


def usable_cores(quota: Path = QUOTA) -> int:
    """Count the cores that this process may keep busy: those it may run on, less where a container has a limit."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return max(1, min(cores, math.ceil(int(allowed) / int(period))))
    except (OSError, ValueError):  # no container, or one without a limit: its quota is the word max
        return cores


def memory_limit(limit: Path = MEMORY_LIMIT) -> int | None:
    """Return the bytes of memory that the container may use; None where it has no limit, or there is no container."""
    try:
        return int(limit.read_text())
    except (OSError, ValueError):  # as above
        return None
