"""All processes are restarted one after the other behind nginx, under load, and no caller notices."""

import asyncio
from pathlib import Path

import pytest

from tests.cluster.steady import Steady
from tests.tools.nginx import new_addresses, nginx_before
from tests.tools.replicas import replicas, sharing
from tests.tools.servers import redis_server
from tests.tools.weaviate import weaviate_server

CALM_SECONDS = 3


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    with (
        weaviate_server() as weaviate,
        redis_server() as redis,
        replicas(3, tmp_path, sharing(weaviate, redis.url)) as processes,
        nginx_before([process.address for process in processes]) as proxy,
    ):
        load = Steady(proxy, new_addresses())
        async with load.flowing():
            await asyncio.sleep(CALM_SECONDS)
            for process in processes:
                await asyncio.to_thread(process.restart)
                await asyncio.sleep(CALM_SECONDS)
        print(load.summary())  # noqa: T201  # shown where the test fails, and with -s
        assert not load.failures
        assert load.acknowledged
        assert not await load.lost()
