"""All processes are restarted one after the other behind nginx, under load, and no caller notices."""

import asyncio
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from scripts.nginx.settings import load_ingress
from tests.cluster.steady import Steady
from tests.tools.locust import locust_load
from tests.tools.nginx import new_addresses, nginx_before
from tests.tools.replicas import replicas, sharing
from tests.tools.servers import redis_server
from tests.tools.weaviate import weaviate_server

CALM_SECONDS = 3
USERS = 60


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


@pytest.mark.slow
def test_nor_does_it_fail_the_users_of_the_load_test(tmp_path: Path) -> None:
    ingress = load_ingress()
    # They all come from one address.
    unlimited = replace(ingress, rate_limit=replace(ingress.rate_limit, requests_per_minute=0))
    with (
        weaviate_server() as weaviate,
        redis_server() as redis,
        replicas(3, tmp_path, sharing(weaviate, redis.url)) as processes,
        nginx_before([process.address for process in processes], unlimited) as proxy,
    ):
        with locust_load(proxy.url, USERS, tmp_path) as load:
            for process in processes:
                time.sleep(CALM_SECONDS)
                process.restart()
            time.sleep(CALM_SECONDS)
        assert not load.failures
        assert load.requests > USERS
