"""Searches over three nodes of Weaviate while one is dead, then while another is frozen, with imports beside them."""

import asyncio

import httpx

from scripts.bench.figures import Figure
from tests.cluster.traffic import Traffic
from tests.tools.running import running_service
from tests.tools.servers import redis_server
from tests.tools.weaviate import RunningWeaviate, bare_settings_of, weaviate_cluster

SEARCHES = 400
"""In each phase."""
READERS = 2


async def measure() -> list[Figure]:
    """Tell how long searches take, all of them answered; none of them is cached."""
    with weaviate_cluster(3) as cluster, redis_server() as redis:
        settings = bare_settings_of(*cluster.nodes) | {"weaviate_replication": "3", "redis_url": redis.url}
        with running_service(None, None, **settings) as service:
            async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
                traffic = Traffic(client, READERS)
                for _ in range(40):
                    await traffic.import_documents()
                async with traffic.flowing():
                    phases = await _hurt(cluster, traffic)
    figures = [Figure("searches not answered", len(traffic.failures), goal=0)]
    for phase in phases:
        figures += [
            Figure(f"{phase}: p50", traffic.percentile(phase, 0.5), "ms"),
            Figure(f"{phase}: p99", traffic.percentile(phase, 0.99), "ms"),
            Figure(f"{phase}: longest", traffic.percentile(phase, 1), "ms"),
        ]
    return figures


async def _hurt(cluster: RunningWeaviate, traffic: Traffic) -> list[str]:
    phases = ["three nodes", "one of them dead", "it is back", "another frozen", "it is thawed"]
    await traffic.phase(phases[0], SEARCHES)
    await asyncio.to_thread(cluster.nodes[0].kill)
    await traffic.phase(phases[1], SEARCHES)
    await asyncio.to_thread(cluster.nodes[0].restart)
    await traffic.phase(phases[2], SEARCHES)
    cluster.nodes[1].freeze()
    try:
        await traffic.phase(phases[3], SEARCHES)
    finally:
        cluster.nodes[1].thaw()
    await traffic.phase(phases[4], SEARCHES)
    return phases
