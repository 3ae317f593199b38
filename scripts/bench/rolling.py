"""A rolling restart of three processes behind nginx, under a steady load: what fails, and how far throughput falls."""

import tempfile
from pathlib import Path

from scripts.bench.figures import Figure
from tests.cluster.steady import Steady
from tests.tools.nginx import new_addresses
from tests.tools.replicas import replicas_behind_nginx

CALM_SECONDS = 5


async def measure() -> list[Figure]:
    """Restart each process once, the next when the one before is ready again."""
    with (
        tempfile.TemporaryDirectory() as temporary,
        replicas_behind_nginx(Path(temporary)) as (processes, proxy),
    ):
        load = Steady(proxy, new_addresses())
        await load.through_restarts(processes, CALM_SECONDS)
        lost = await load.lost()
    return [
        Figure("requests", load.requests),
        Figure("requests not answered well", len(load.failures), goal=0),
        Figure("documents acknowledged and lost", len(lost), goal=0),
        Figure("throughput of the worst second by that of the median one", load.worst_share(), "x", 0.6, is_least=True),
        Figure("longest answer", load.longest_seconds * 1000, "ms"),
    ]
