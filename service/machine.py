"""What of the machine this process may use."""

import math
import os
import sys
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of a container, in version 2 of control groups: microseconds in a period, and the period."""


def usable_cores(quota: Path = QUOTA) -> int:
    """Count the cores that this process may keep busy: those it may run on, less where a container has a limit."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return max(1, min(cores, math.ceil(int(allowed) / int(period))))
    except (OSError, ValueError):  # no container, or one without a limit: its quota is the word max
        return cores
