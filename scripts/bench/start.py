"""Start to ready: the process begins, the model is loaded, the first inference is done, the store is open."""

from scripts.bench.figures import Figure, median
from tests.tools.running import running_service

STARTS = 5


async def measure() -> list[Figure]:
    """Start the service a few times on an empty data directory."""
    seconds = []
    memory = 0.0
    for _ in range(STARTS):
        with running_service() as service:
            seconds.append(service.ready_seconds)
            memory = service.process.memory_info().rss / 1e6
    return [
        Figure("start to ready", median(seconds), "s", goal=2),
        Figure("memory when idle", memory, "MB"),
    ]
