"""A rolling restart of three processes behind nginx, under a steady load: what fails, and how far throughput falls."""

import asyncio
import tempfile
from pathlib import Path

from scripts.bench.figures import Figure
from tests.cluster.steady import Steady
from tests.tools.nginx import new_addresses, nginx_before
from tests.tools.replicas import replicas, sharing
from tests.tools.servers import redis_server
from tests.tools.weaviate import weaviate_server

CALM_SECONDS = 5


async def measure() -> list[Figure]:
    """Restart each process once, the next when the one before is ready again."""
    with (
        tempfile.TemporaryDirectory() as temporary,
        weaviate_server() as weaviate,
        redis_server() as redis,
        replicas(3, Path(temporary), sharing(weaviate, redis.url)) as processes,
        nginx_before([process.address for process in processes]) as proxy,
    ):
        load = Steady(proxy, new_addresses())
        async with load.flowing():
            await asyncio.sleep(CALM_SECONDS)
            for process in processes:
                await asyncio.to_thread(process.restart)
                await asyncio.sleep(CALM_SECONDS)
        lost = await load.lost()
    return [
        Figure("requests", load.requests),
        Figure("requests not answered well", len(load.failures), goal=0),
        Figure("documents acknowledged and lost", len(lost), goal=0),
        Figure("throughput of the worst second by that of the median one", load.worst_share(), "x", 0.6, is_least=True),
        Figure("longest answer", load.longest_seconds * 1000, "ms"),
    ]
