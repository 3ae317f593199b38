"""A real Redis to hurt, and a proxy before it that can lie."""

from collections.abc import Iterator

import pytest

from tests.tools.servers import Proxy, RunningRedis, proxy_to, redis_server


@pytest.fixture
def server() -> Iterator[RunningRedis]:
    with redis_server() as started:
        started.say("SET", "a", "value of a")
        yield started


@pytest.fixture
def proxy(server: RunningRedis) -> Iterator[Proxy]:
    with proxy_to(server.port) as started:
        yield started
