"""All processes are restarted one after the other behind nginx, under load, and no caller notices."""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from scripts.nginx.settings import load_ingress
from tests.cluster.steady import Steady
from tests.tools.locust import locust_load
from tests.tools.nginx import new_addresses
from tests.tools.replicas import replicas_behind_nginx

CALM_SECONDS = 3
USERS = 60


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    with replicas_behind_nginx(tmp_path) as (processes, proxy):
        load = Steady(proxy, new_addresses())
        await load.through_restarts(processes, CALM_SECONDS)
        print(load.summary())  # noqa: T201  # shown where the test fails, and with -s
        assert not load.failures
        assert load.acknowledged
        assert not await load.lost()


@pytest.mark.slow
def test_nor_does_it_fail_the_users_of_the_load_test(tmp_path: Path) -> None:
    ingress = load_ingress()
    # They all come from one address.
    unlimited = replace(ingress, rate_limit=replace(ingress.rate_limit, requests_per_minute=0))
    with replicas_behind_nginx(tmp_path, unlimited) as (processes, proxy):
        with locust_load(proxy.url, USERS, tmp_path) as load:
            for process in processes:
                time.sleep(CALM_SECONDS)
                process.restart()
            time.sleep(CALM_SECONDS)
        assert not load.failures
        assert load.requests > USERS
